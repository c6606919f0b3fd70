import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import ConfusionMatrix, UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.evaluation.report import TEMPLATE, Report
from deeplab_lfov.evaluation.trimap import TrimapMatrices

NAMES = ("back", "cat & <b>", '"dog"')


class Balance(HTMLParser):
    """Raises where a tag is closed that is not the open one."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def write(tmp_path):
    """Write a report of pictures whose first `wrong` of 100 pixels are wrong; returns the page."""

    def call(wrongs, trimap=None, names=NAMES):
        report, matrix = Report(tmp_path / "report", Classes(names)), ConfusionMatrix(names)
        for number, wrong in enumerate(wrongs):
            image = tmp_path / f"p{number}.png"
            Image.new("RGB", (10, 10), (9 * number, 90, 9)).save(image)
            truth = np.zeros((10, 10), np.uint8)
            prediction = (np.arange(100) < wrong).reshape(10, 10).astype(np.uint8)
            truth[9, 9] = 255
            for counts in filter(None, (matrix, trimap)):
                counts.update(truth, prediction)
            report.add(f"p{number} <i>", image, truth, prediction)
        chosen = {t: [s.name[:2] for s in seen] for t, seen in report.chosen().items()}
        return report.write(matrix, {"list": "a<b"}, trimap).read_text(), chosen, matrix

    return call


def test_the_page_is_whole_and_needs_nothing_else(write):
    page, _, _ = write([1, 20, 60, 3])
    parser = Balance()
    parser.feed(page)
    assert parser.open == [] and not re.search(r"https?:|<script|url\(", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    for source in sources:
        Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).load()


def test_names_are_text_and_not_markup(write):
    page, _, _ = write([1, 20])
    assert "cat &amp; &lt;b&gt;" in page and "<b>cat" not in page and "p0 &lt;i&gt;" in page
    assert "<i>" not in page and "a&lt;b" in page


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_numbers_of_the_heat_map_stand_out(theme):
    """On the fullest cell text has the contrast that WCAG 2 asks for, 4.5."""
    found = {
        name: re.findall(rf"--{name}: ([^;]*);", TEMPLATE.read_text())[theme]
        for name in ("page", "ink", "heat", "most")
    }
    page, ink = (np.array(list(bytes.fromhex(found[name][1:]))) for name in ("page", "ink"))
    heat, most = np.array(found["heat"].split(","), float), float(found["most"])
    darker, lighter = sorted(luminance(c) for c in (ink, most * heat + (1 - most) * page))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(color):
    """sRGB 0 ... 255 -> WCAG 2's relative luminance."""
    share = color / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_the_numbers_are_the_matrix_s(write):
    page, _, matrix = write([1, 20])
    assert f"</small>{100 * matrix.mean_iou:.1f} %</h1>" in page
    assert f"<dd>{100 * matrix.pixel_accuracy:.1f} %</dd>" in page
    assert "absent</td>" in page and ", 1 absent classes left out" in page
    assert "back labelled cat &amp; &lt;b&gt;: 10.61 %, 21 pixels" in page


def test_best_median_and_worst_pictures(write):
    _, chosen, _ = write([0, 90, 10, 80, 20, 70, 30, 60, 40, 50, 45])
    assert list(chosen.values()) == [["p0", "p2", "p4"], ["p8", "p1", "p9"], ["p1", "p3", "p5"]]


@pytest.mark.parametrize(
    ("wrongs", "expected"),
    [
        ([5], [["p0"], [], []]),
        ([5, 1], [["p1"], [], ["p0"]]),
        ([5, 1, 3], [["p1"], ["p2"], ["p0"]]),
    ],
)
def test_no_picture_comes_twice(write, wrongs, expected):
    assert list(write(wrongs)[1].values()) == expected


def test_a_picture_of_void_alone_is_left_out(tmp_path):
    report = Report(tmp_path, Classes(NAMES))
    report.add("v", tmp_path / "v.png", np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8))
    page = report.write(ConfusionMatrix(NAMES), {}).read_text()
    assert "none</h1>" in page and "<figure>" not in page


def test_the_trimap_has_its_table(write):
    trimap = TrimapMatrices(NAMES, [1, 4])
    page, _, _ = write([1, 20], trimap)
    assert "Near boundaries" in page and f"{100 * trimap.matrices[4].mean_iou:.1f} %" in page
    assert "Near boundaries" not in write([1, 20])[0]


def test_an_earlier_report_is_replaced_and_nothing_else(write, tmp_path):
    write([1])
    write([2])
    (tmp_path / "report/index.html").write_text("<html>precious")
    with pytest.raises(UserError, match="no earlier report"):
        Report(tmp_path / "report", Classes(NAMES))
    with pytest.raises(UserError):
        Report("/dev/null/x", Classes(NAMES))
    (tmp_path / "other/index.html").mkdir(parents=True)
    with pytest.raises(UserError, match="index.html exists .* choose another folder"):
        Report(tmp_path / "other", Classes(NAMES))
    assert (tmp_path / "report/index.html").read_text() == "<html>precious"


def test_masks_are_kept_small(tmp_path):
    report = Report(tmp_path, Classes(NAMES))
    labels = np.zeros((500, 500), np.uint8)
    report.add("a", tmp_path / "a.png", labels, labels)
    assert len(report.seen[0].masks) < 5000
    np.testing.assert_array_equal(report.seen[0].truth_and_prediction[0], labels)
