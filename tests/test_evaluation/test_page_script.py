"""What the script of a report's page does, in a real browser where there is one."""

import html
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.classes import Classes
from deeplab_lfov.evaluation.metrics import PerPicture
from deeplab_lfov.evaluation.report.report import Report

NAMES = ("back", "cat <b>", "dog")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no Chromium")


@pytest.fixture
def browse(tmp_path):
    """Open a report of three pictures; returns what a script that acts and looks then says."""
    report, pictures = Report(tmp_path / "report", Classes(NAMES)), PerPicture(NAMES)
    for name, wrong in (("b", 5), ("a <i>", 60), ("c", 1)):
        Image.new("RGB", (10, 10)).save(tmp_path / "picture.png")
        truth = np.zeros((10, 10), np.uint8)
        truth[9] = 2
        prediction = np.where(np.arange(100).reshape(10, 10) < wrong, 1, truth)
        pictures.add(name, truth, prediction.astype(np.uint8))
        report.add(tmp_path / "picture.png", truth, prediction.astype(np.uint8))
    page = report.write(pictures, {})

    def call(script, place=""):
        acting = f"document.body.dataset.said = JSON.stringify((() => {{ {script} }})());"
        text = page.read_text().replace("</body>", f"<script>{acting}</script></body>")
        page.with_name("acting.html").write_text(text)
        command = [
            BROWSER,
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'browser'}",
        ]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += ["--dump-dom", f"{page.with_name('acting.html').as_uri()}{place}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return json.loads(html.unescape(re.search(r'<body data-said="(.*?)"', done.stdout)[1]))

    return call


TEXTS = "const texts = (selector) => all(selector).map((each) => each.textContent);"


def test_pictures_are_shown_in_the_order_that_is_chosen(browse):
    said = browse(
        TEXTS
        + """const orders = [texts(".grid b")];
        for (const order of ["best", "name"]) {
          find("#order").value = order;
          find("#order").onchange();
          orders.push(texts(".grid b"));
        }
        return [orders, find(".shown").textContent, find(".grid i") === null];"""
    )
    orders = [["a <i>", "b", "c"], ["c", "b", "a <i>"], ["a <i>", "b", "c"]]
    assert said == [orders, "3 pictures", True]


def test_a_click_on_a_head_sorts_the_classes_and_another_turns_them_round(browse):
    said = browse(
        TEXTS
        + """const rows = [];
        for (const _ of [1, 2]) {
          all(".classes thead button")[2].click();  // precision
          rows.push(texts(".classes tbody th"));
        }
        return [rows, find("th[aria-sort]").getAttribute("aria-sort")];"""
    )
    (down, up), order = said
    assert down[2] == up[0] == "cat <b>" and order == "ascending"  # the others' precision is 1
    assert sorted(down) == sorted(up) == sorted(NAMES)


def test_a_cell_of_the_confusion_leads_to_its_pictures_and_shares_change_sides(browse):
    said = browse(
        TEXTS
        + """const cell = find('.heat td[data-truth="0"][data-label="1"]');
        const radios = all("input[name=normalise]");
        const shares = [];
        for (const radio of [radios[1], radios[0]]) {
          radio.onchange();
          shares.push(cell.textContent);
        }
        cell.click();
        return [shares, texts(".grid b"), find(".shown").textContent, find("#order").disabled];"""
    )
    words = "3 pictures with back labelled cat <b>, most pixels first"
    assert said == [["100", "24"], ["a <i>", "b", "c"], words, True]


def test_a_picture_opens_by_its_address_and_the_next_by_a_button(browse):
    said = browse(
        TEXTS
        + """const seen = [];
        for (const by of [0, 1]) {
          if (by) find("#next").click();
          const name = find("dialog h2").textContent;
          seen.push([name, location.hash, texts(".found span:not(.chip)")]);
        }
        find("#right").value = "errors";
        find("#right").onchange();
        const layer = all(".right img")[1].getAttribute("src");
        find("#close").click();
        return [seen, find("dialog").open, layer];""",
        place="#picture-2",
    )
    first, second = said[0]
    assert first == ["a <i>", "#picture-2", ["back 33.3 %", "dog 100.0 %", "cat <b> 0.0 %"]]
    assert second[:2] == ["b", "#picture-1"] and said[1:] == [False, "pictures-1/000001-errors.png"]
