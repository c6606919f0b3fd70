"""The page of evaluate.py --report, and the pictures beside it."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.metrics import PerPicture
from deeplab_lfov.evaluation.report.page import TEMPLATE
from deeplab_lfov.evaluation.report.report import Report

NAMES = ("back", "cat & </script><b>", '"dog"')


class Balance(HTMLParser):
    """Raises where a tag is closed that is not the open one."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class Written:
    """A report of pictures whose first `wrong` of 100 pixels are wrong."""

    def __init__(self, folder, wrongs, trimap=None, bf=None):
        self.folder, pictures = folder / "report", PerPicture(NAMES)
        report, self.matrix = Report(self.folder, Classes(NAMES)), pictures.whole
        for number, wrong in enumerate(wrongs):
            image = folder / f"p{number}.png"
            Image.new("RGB", (10, 10), (9 * number, 90, 9)).save(image)
            truth = np.zeros((10, 10), np.uint8)
            prediction = (np.arange(100) < wrong).reshape(10, 10).astype(np.uint8)
            truth[9, 9] = 255
            pictures.add(f"p{number} <i>\u2028</script>", truth, prediction)
            for each in filter(None, (trimap, bf)):
                each.add(truth, prediction)
            report.add(image, truth, prediction)
        path = report.write(pictures, {"list": "a<b"}, trimap, bf)
        self.page = path.read_text()
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', self.page).group(1))


@pytest.fixture
def write(tmp_path):
    return lambda *given: Written(tmp_path, *given)


def test_the_page_is_whole_and_asks_for_nothing_elsewhere(write):
    page = write([1, 20, 60, 3]).page
    parser = Balance()
    parser.feed(page)
    assert parser.open == [] and not re.search(r"https?:|url\(|src=|fetch|import\(", page)


def test_names_are_text_and_not_markup(write):
    written = write([1, 20])
    assert "cat &amp; &lt;/script&gt;&lt;b&gt;" in written.page and "<b>cat" not in written.page
    assert "<i>" not in written.page and "a&lt;b" in written.page
    assert written.page.count("</script>") == 2
    assert written.data["pictures"][0]["name"] == "p0 <i>\u2028</script>"
    assert written.data["classes"][1] == {"name": NAMES[1], "color": [128, 0, 0]}


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
    bf = BoundaryF1(NAMES)
    written = write([1, 20], None, bf)
    page, matrix = written.page, written.matrix
    assert f"</small>{100 * matrix.mean_iou:.1f} %</h1>" in page
    assert f"<dd>{100 * matrix.pixel_accuracy:.1f} %</dd>" in page
    assert ", 1 absent classes left out" in page and f"<dd>{100 * bf.means[-1]:.1f} %</dd>" in page
    row = re.search(r'<th scope="row" data-value="0">.*?</tr>', page).group()
    # 198 pixels of back, of which 177 were found, and nothing else was taken for it
    values = re.findall(r'<td data-value="([\d.-]+)"', row)
    assert list(map(float, values[:4])) == pytest.approx([177 / 198, 1, 177 / 198, 1], abs=1e-6)
    dog = re.search(r'<th scope="row" data-value="-2">.*?</tr>', page).group()
    assert dog.count('<td data-value="-1" class="absent">absent</td>') == 4  # but its share, 0
    assert 'data-truth="0" data-label="1" style="--share:0.106">11</td>' in page
    assert written.data["counts"] == matrix.counts.tolist()


def test_every_picture_is_there_with_what_became_of_it(write):
    written = write([0, 90, 10])
    assert [p["cells"] for p in written.data["pictures"]] == [
        [0, 0, 99],
        [0, 0, 9, 0, 1, 90],
        [0, 0, 89, 0, 1, 10],
    ]
    assert [p["iou"] for p in written.data["pictures"]] == [1, 0.04545, 0.44949]
    third = written.data["pictures"][2]
    place = written.folder / written.data["folder"] / third["file"]
    picture = np.asarray(Image.open(f"{place}.jpg"))
    assert abs(picture.astype(int) - (18, 90, 9)).max() < 6
    truth, prediction = (
        np.asarray(Image.open(f"{place}-{k}.png")) for k in ("truth", "prediction")
    )
    assert truth[0, 0] == 0 and truth[9, 9] == 255 and prediction.sum() == 10
    errors = np.asarray(Image.open(f"{place}-errors.png").convert("RGBA"))
    assert errors[0, :, 3].tolist() == [255] * 10 and errors[0, 0].tolist() == [214, 58, 40, 255]
    assert not errors[1:9, :, 3].any() and errors[9, 9, 0] != 214


def test_large_pictures_have_small_copies(tmp_path):
    Image.new("RGB", (1200, 30)).save(tmp_path / "a.jpg")
    report, labels = Report(tmp_path / "r", Classes(NAMES)), np.zeros((30, 1200), np.uint8)
    report.add(tmp_path / "a.jpg", labels, labels)
    assert report.copies == [("000001", (13, 512))]
    with Image.open(tmp_path / "r/pictures-1/000001.jpg") as picture:
        assert picture.size == (512, 13)


def test_a_picture_of_void_alone_has_no_iou(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "v.png")
    report, pictures = Report(tmp_path, Classes(NAMES)), PerPicture(NAMES)
    labels = np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8)
    report.add(tmp_path / "v.png", *labels)
    pictures.add("v", *labels)
    page = report.write(pictures, {}).read_text()
    assert "none</h1>" in page and '"iou":null,"cells":[]' in page


def test_the_trimap_has_its_table(write):
    trimap = TrimapMatrices(NAMES, [1, 4])
    page = write([1, 20], trimap).page
    assert "Near boundaries" in page and f"{100 * trimap.matrices[4].mean_iou:.1f} %" in page
    assert "Near boundaries" not in write([1, 20]).page


def test_an_earlier_report_is_replaced_and_nothing_else(write, tmp_path):
    first, second = write([1, 2]), write([2])
    assert (first.data["folder"], second.data["folder"]) == ("pictures-1", "pictures-2")
    folders = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert folders == ["index.html", "pictures-2"]
    Image.new("RGB", (4, 4)).save(tmp_path / "report/pictures-2/000009.jpg")  # a user's
    write([3])
    left = [path.name for path in (tmp_path / "report/pictures-2").iterdir()]
    assert left == ["000009.jpg"] and write([3]).data["folder"] == "pictures-4"
    (tmp_path / "report/index.html").write_text("<html>precious")
    with pytest.raises(UserError, match="no earlier report"):
        Report(tmp_path / "report", Classes(NAMES))
    with pytest.raises(UserError):
        Report("/dev/null/x", Classes(NAMES))
    (tmp_path / "other/index.html").mkdir(parents=True)
    with pytest.raises(UserError, match="index.html exists .* choose another folder"):
        Report(tmp_path / "other", Classes(NAMES))
    assert (tmp_path / "report/index.html").read_text() == "<html>precious"
