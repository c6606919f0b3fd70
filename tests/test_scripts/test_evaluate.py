"""evaluate.py beyond the metric: report, trimap, CRF search, and masks for the test server."""

import csv
import json
import re
import zipfile

import numpy as np
import pytest

from deeplab_lfov import DeepLabLFOVModel
from deeplab_lfov.classes import Classes, voc_classes
from deeplab_lfov.data.image_files import DATA_SET, PREDICTED, SOFTWARE, read_image, write_mask
from deeplab_lfov.distributed import devices
from deeplab_lfov.evaluation import measure, setup
from deeplab_lfov.files import locked
from deeplab_lfov.training.snapshots import Snapshots

VAL = "ImageSets/Segmentation/val.txt"


@pytest.fixture
def evaluate(script, shapes, checkpoint):
    """Call evaluate.py on the drawn val pictures with the reference network."""

    def call(*flags, data_dir=shapes, data_list=VAL, restore_from=checkpoint):
        data = ["--data_dir", data_dir, "--data_list", data_list]
        return script("evaluate", *data, "--restore_from", restore_from, *flags)

    return call


def numbers(path):
    return json.loads(path.read_text())


def test_views_change_the_numbers_and_are_told(evaluate, tmp_path):
    views = {"one": [], "many": ["--scales", "0.75,1", "--flip", "--tile", 64, "--max_side", 40]}
    for name, flags in views.items():
        result = evaluate("--json", tmp_path / name, *flags)
        assert result.status == 0, result.err
    told = "scales 0.75, 1; mirrored too; shrunk to 40 pixels; tiles of 64 pixels"
    assert f"views    {told}" in result.out
    assert numbers(tmp_path / "one")["mean_iou"] != numbers(tmp_path / "many")["mean_iou"]


def test_one_gpu_is_chosen_before_the_network_takes_all(evaluate, monkeypatch):
    order = []

    def noted(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **b: order.append(name) or real(*a, **b))

    noted(setup, "Predictor")
    noted(devices, "make_visible")
    assert evaluate("--num_steps", 1).status == 0
    assert order[:2] == ["make_visible", "Predictor"]


def test_bits_are_the_same_every_time_where_asked(evaluate, monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "compute_deterministically", lambda: asked.append(True))
    result = evaluate("--num_steps", 1)
    assert result.status == 0 and not asked and "cores, float32\n" in result.out
    assert evaluate("--num_steps", 1, "--deterministic").status == 0 and asked


def test_trimap_and_bf_are_printed_and_written(evaluate, tmp_path):
    result = evaluate("--trimap", "1,4,1000", "--bf", "--json", tmp_path / "numbers")
    assert result.status == 0, result.err
    found = numbers(tmp_path / "numbers")
    assert list(found["trimap"]) == ["1", "4", "1000"]
    assert found["trimap"]["1000"] == pytest.approx(found["mean_iou"])
    assert f"{found['trimap']['4']:.2%}" in result.out
    assert 0 < found["bf"]["mean"] < 1 and f"{found['bf']['mean']:.2%}" in result.out


def test_the_report_holds_the_numbers(evaluate, tmp_path):
    result = evaluate("--report", tmp_path / "report", "--json", tmp_path / "numbers")
    assert result.status == 0, result.err
    page = (tmp_path / "report/index.html").read_text()
    assert f"{100 * numbers(tmp_path / 'numbers')['mean_iou']:.1f}" in page
    assert "shapes_000006" in page and str(tmp_path / "report/index.html") in result.out
    assert evaluate("--report", tmp_path / "report", "--num_steps", 1).status == 0
    (tmp_path / "report/index.html").write_text("precious")
    assert evaluate("--report", tmp_path / "report").status == 2


@pytest.mark.parametrize(
    ("factor", "widths"), [([], ("15", "30", "60")), ([3], ("10", "30", "90"))]
)
def test_the_crf_search_prints_a_table_and_the_best_as_flags(evaluate, factor, widths):
    search = ["--num_steps", 1, "--crf_search", *factor, "--crf_iterations", 1]
    result = evaluate(*search, "--bi_xy_std", 30, "--pos_w", 2.5)
    assert result.status == 0, result.err
    table = [line.split() for line in result.out.splitlines() if line.endswith("%")]
    assert len(table) == 27 + 1 and {row[1] for row in table[:-1]} == set(widths)
    shares = [float(row[-1].rstrip("%")) for row in table[:-1]]
    assert shares == sorted(shares, reverse=True)
    best = dict(zip(("--bi_w", "--bi_xy_std", "--bi_rgb_std"), table[0], strict=False))
    flags = result.out.partition("the best: ")[2].split()
    assert flags[:3] == ["--crf", "--crf_iterations", "1"]
    assert dict(zip(flags[3:9:2], flags[4:9:2], strict=True)) == best
    again = evaluate("--num_steps", 1, *flags)
    assert f"mean IoU                 {table[0][-1]:>8}" in again.out


@pytest.mark.parametrize("flags", [[], ["--crf_search"]])
def test_masks_that_are_void_everywhere_are_an_error(evaluate, shapes, tmp_path, flags):
    picture = shapes / "JPEGImages/shapes_000006.jpg"
    height, width = read_image(picture).shape[:2]
    write_mask(tmp_path / "void.png", np.full((height, width), 255, np.uint8), DATA_SET)
    (tmp_path / "list.txt").write_text(f"{picture} {tmp_path / 'void.png'}\n")
    result = evaluate(*flags, data_list=tmp_path / "list.txt")
    assert result.status == 2 and "every pixel of the masks of" in result.err


def test_masks_for_the_test_server(evaluate, shapes, tmp_path):
    """Of a list of bare ids whose masks nobody has."""
    (tmp_path / "JPEGImages").mkdir()
    for picture in list((shapes / "JPEGImages").iterdir())[:2]:
        (tmp_path / "JPEGImages" / picture.name).write_bytes(picture.read_bytes())
    ids = sorted(p.stem for p in (tmp_path / "JPEGImages").iterdir())
    twice = f"/JPEGImages/../JPEGImages/{ids[0]}.jpg"
    (tmp_path / "test.txt").write_text("\n".join([*ids, twice]))
    submission = ["--voc_submission", tmp_path / "out.zip"]
    result = evaluate(*submission, data_dir=tmp_path, data_list="test.txt")
    assert result.status == 2 and f"two pictures of the list have the id {ids[0]}" in result.err
    (tmp_path / "test.txt").write_text("\n".join(ids))
    data = {"data_dir": tmp_path, "data_list": "test.txt"}
    masks = ["--save_dir", tmp_path / "masks"]
    result = evaluate(*submission, *masks, **data)
    assert result.status == 0, result.err
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
    assert names == [f"results/VOC2012/Segmentation/comp6_test_cls/{i}.png" for i in ids]
    assert sorted(p.stem for p in (tmp_path / "masks").iterdir()) == ids
    assert "mean IoU" not in result.out


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--trimap", "4,2"], "--trimap"),
        (["--input_size", "50,50"], "shapes_000006.jpg"),
        (["--report", "/dev/null/x"], "/dev/null/x"),
        (["--voc_submission", "masks.tar"], ".zip"),
        (["--voc_submission", "a.zip", "--json", "b"], "--json"),
        (["--crf_search", "--bi_xy_std", "0.015"], "bi_xy_std must be a number from 0.01"),
        (["--crf_search", "--tile", "64"], "--max_side"),
    ],
)
def test_mistakes_are_named_before_the_work(evaluate, flags, word):
    result = evaluate(*flags)
    assert result.status == 2 and result.err.count("\n") == 1, result.err
    assert result.err.startswith("error: ") and word in result.err


def test_a_crf_needs_two_classes(evaluate, tmp_path):
    ckpt = Snapshots(tmp_path, DeepLabLFOVModel(1, 1 / 64).parameters, Classes(("one",))).save(0)
    for flags in (["--crf"], ["--crf_search", 2]):
        result = evaluate(*flags, restore_from=ckpt)
        assert result.status == 2 and "two classes" in result.err


def test_two_evaluations_are_compared(evaluate, checkpoint, tmp_path):
    assert evaluate("--json", tmp_path / "before.json").status == 0
    pictures = numbers(tmp_path / "before.json")["pictures"]
    assert len(pictures) == 3 and sum(pictures[0]["confusion"][0]) > 0
    for other in (tmp_path / "before.json", checkpoint):
        result = evaluate("--compare", other, "--json", tmp_path / "now.json", "--flip")
        assert result.status == 0, result.err
        assert f"compared with {other}" in result.out and "resamplings" in result.out
        found = numbers(tmp_path / "now.json")
        change = found["mean_iou"] - numbers(tmp_path / "before.json")["mean_iou"]
        if other == checkpoint:  # seen mirrored, too
            change = 0
        assert found["compared"]["difference"] == pytest.approx(change)
    result = evaluate("--compare", tmp_path / "before.json", "--num_steps", 1)
    assert result.status == 2 and "before.json is of other pictures" in result.err
    assert "data " not in result.out  # before anything was measured
    assert evaluate("--compare", tmp_path / "none.json").status == 2


def test_one_process_writes_a_report_into_a_folder(evaluate, tmp_path):
    with locked(tmp_path / "report/.report.lock", "", ""):
        result = evaluate("--report", tmp_path / "report")
    assert result.status == 2 and "writes a report into it; wait" in result.err


def test_all_checkpoints_of_a_run_have_a_table(evaluate, reference_model, tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path / "run", reference_model.parameters, voc_classes(21))
    for step in (1, 2, 3):
        snapshots.save(step)
    result = evaluate("--all_checkpoints", restore_from=tmp_path / "run")
    assert result.status == 0, result.err
    rows = [line.split() for line in result.out.splitlines() if line.startswith("model.ckpt-")]
    assert [row[0] for row in rows] == ["model.ckpt-1", "model.ckpt-2", "model.ckpt-3"]
    assert sum(row[-1] == "best" for row in rows) == 1
    one = evaluate(restore_from=tmp_path / "run/model.ckpt-2")
    assert f"mean IoU{rows[1][1]:>25}" in one.out
    make = measure.make_predictor

    def make_and_rotate(settings):
        if settings.restore_from.endswith("-1"):
            (tmp_path / "run/model.ckpt-1.index").unlink()
        return make(settings)

    monkeypatch.setattr(measure, "make_predictor", make_and_rotate)
    result = evaluate("--all_checkpoints", restore_from=tmp_path / "run")
    assert result.status == 0 and "model.ckpt-1: its run has removed it meanwhile" in result.out
    assert result.out.count("model.ckpt-2 ") == 1
    assert evaluate("--all_checkpoints").status == 2
    result = evaluate("--all_checkpoints", "--json", "a", restore_from=tmp_path / "run")
    assert result.status == 2 and "leave out --json" in result.err


def test_a_curve_names_a_threshold_that_does_what_it_says(evaluate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = evaluate(
        "--threshold_curve", "aeroplane", "--json", "curve.json", "--csv", "images.csv"
    )
    assert result.status == 0 and (tmp_path / "threshold_aeroplane.png").exists(), result.err
    curve = numbers(tmp_path / "curve.json")["threshold_curve"]
    best = curve["threshold"].index(curve["best"])
    advice = re.search("--threshold aeroplane=[.0-9]+", result.out)[0].split()
    assert float(advice[1].partition("=")[2]) == curve["best"]
    assert evaluate(*advice, "--json", "at.json", "--csv", "images.csv").status == 0
    iou = numbers(tmp_path / "at.json")["iou"]["aeroplane"]
    assert iou == pytest.approx(curve["IoU"][best])
    assert iou >= (numbers(tmp_path / "curve.json")["iou"]["aeroplane"] or 0)
    rows = list(csv.DictReader((tmp_path / "images.csv").read_text().splitlines()))
    assert len(rows) == 3 * 21 and rows[0]["class"] == "background"
    confusion = np.array(numbers(tmp_path / "at.json")["pictures"][0]["confusion"])
    both, either = ((confusion[:, :2] == 1).sum(axis=1) >= n for n in (2, 1))
    iou = confusion[both, 2].sum() / confusion[either, 2].sum()
    assert float(rows[1]["iou"]) == pytest.approx(iou) and float(rows[1]["share"]) > 0.1
    for flags, word in {
        ("--threshold_curve", "bird"): "no mask of",
        ("--threshold_curve", "fish"): "no class 'fish'",
        ("--crf_search", "--threshold", "bird=1"): "leave out --threshold",
    }.items():
        result = evaluate(*flags)
        assert result.status == 2 and word in result.err


@pytest.mark.parametrize("origin", [SOFTWARE, PREDICTED])
def test_predictions_are_no_truth_unless_that_is_said(evaluate, shapes, tmp_path, origin):
    picture = shapes / "JPEGImages/shapes_000006.jpg"
    labels = np.zeros(read_image(picture).shape[:2], np.uint8)
    write_mask(tmp_path / "a.png", labels, origin)
    (tmp_path / "list.txt").write_text(f"{picture} {tmp_path / 'a.png'}\n")
    result = evaluate(data_list=tmp_path / "list.txt")
    assert result.status == 2 and "1 of the 1 masks" in result.err
    assert "--predicted_truth" in result.err and "mean IoU" not in result.out
    assert evaluate("--predicted_truth", data_list=tmp_path / "list.txt").status == 0


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass", "SegmentationClassAug"])
def test_predictions_are_not_saved_where_lists_look(evaluate, shapes, tmp_path, folder):
    (tmp_path / "link").symlink_to(shapes)
    result = evaluate("--save_dir", tmp_path / "link" / folder)
    assert result.status == 2 and "give another --save_dir" in result.err
    assert not (shapes / folder / "shapes_000006.png").exists() or folder == "SegmentationClass"
