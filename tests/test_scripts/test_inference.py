"""inference.py's files, and what it does with pictures that fail."""

import csv
import glob
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tensorflow.python.framework import config

from deeplab_lfov import DenseCRF, Predictor, decode_labels
from deeplab_lfov.data.image_files import DATA_SET, read_image, read_mask, write_mask
from deeplab_lfov.inference import outputs, pictures
from deeplab_lfov.inference.find_images import find_images
from deeplab_lfov.inference.regions import verdicts


@pytest.fixture
def picture(shapes):
    return shapes / "JPEGImages/shapes_000006.jpg"


def test_overlay_legend_and_scores(script, checkpoint, picture, tmp_path):
    command = ["inference", picture, checkpoint, "--save_dir", tmp_path, "--overlay", 0.25]
    result = script(*command, "--save_scores")
    assert result.status == 0, result.err
    image, labels = read_image(picture), read_mask(tmp_path / "shapes_000006_mask.png", 21)
    overlay = read_image(tmp_path / "shapes_000006_overlay.png")
    expected = 0.75 * image + 0.25 * decode_labels(labels)
    expected[labels == 0] = image[labels == 0]  # the background
    np.testing.assert_allclose(overlay, expected, atol=1)
    scores = np.load(tmp_path / "shapes_000006_scores.npy")
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, Predictor(checkpoint).scores(image))

    assert script(*command, "--legend", "--save_scores").status == 0  # over its own files
    with_legend = read_image(tmp_path / "shapes_000006_overlay.png")
    assert len(with_legend) > len(image)
    width = image.shape[1]
    np.testing.assert_array_equal(with_legend[: len(image), :width], overlay)


def test_prediction_flags_reach_the_predictor(script, checkpoint, picture, tmp_path):
    """Flags may stand between pictures and weights."""
    options = {"scales": (0.5, 1.0), "flip": True, "max_side": 70, "tile": 64}
    flags = ["--scales", "0.5,1", "--flip", "--max_side", 70, "--tile", 64, "--save_scores"]
    result = script("inference", picture, "--save_dir", tmp_path, *flags, checkpoint)
    assert result.status == 0, result.err
    assert f"from {checkpoint}" in result.out
    assert "scales 0.5, 1; mirrored too; shrunk to 70 pixels; tiles of 64 pixels" in result.out
    expected = Predictor(checkpoint, **options).scores(read_image(picture))
    scores = np.load(tmp_path / "shapes_000006_scores.npy")
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.ptp(expected))


def test_precision_and_determinism_are_set_and_told(script, checkpoint, picture, tmp_path):
    """And the scores of a CPU stay those of float32."""
    base = ["inference", picture, checkpoint, "--save_scores", "--save_dir"]
    result = script(*base, tmp_path / "a")
    assert result.status == 0 and re.search(r"device   .* cores, float32\n", result.out)
    before = config.is_op_determinism_enabled()
    try:
        flags = ["--precision", "tensorfloat32", "--deterministic"]
        result = script(*base, tmp_path / "b", *flags)
        assert config.is_op_determinism_enabled()
    finally:
        if not before:
            config.disable_op_determinism()
    assert result.status == 0 and "cores, tensorfloat32 (float32 here)\n" in result.out
    scores = (np.load(tmp_path / name / "shapes_000006_scores.npy") for name in "ab")
    np.testing.assert_array_equal(*scores)


def test_the_crf_changes_the_mask_and_bfloat16_hardly(script, checkpoint, picture, tmp_path):
    masks = {}
    for name, flags in {
        "plain": [],
        "crf": ["--crf", "--bi_w", 9, "--crf_iterations", 2],
        "bfloat16": ["--precision", "bfloat16"],
    }.items():
        command = ["inference", picture, checkpoint, "--save_dir", tmp_path / name, *flags]
        result = script(*command)
        assert result.status == 0, result.err
        masks[name] = read_mask(tmp_path / name / "shapes_000006_mask.png", 21)
    assert (masks["crf"] != masks["plain"]).mean() > 0.01
    assert (masks["bfloat16"] != masks["plain"]).mean() < 0.1


def test_unsure_pixels_are_void_in_masks_to_train_on(script, checkpoint, picture, tmp_path):
    flags = ["--min_confidence", 0.999, "--save_dir", tmp_path]
    result = script("inference", picture, checkpoint, *flags)
    assert result.status == 0, result.err
    labels = read_mask(tmp_path / "shapes_000006_mask.png", 21)
    expected = Predictor(checkpoint)(read_image(picture), min_confidence=0.999)
    np.testing.assert_array_equal(labels, expected)
    void = (labels == 255).mean()
    assert 0.1 < void < 0.9 and f"void {void:.1%}" in result.out
    assert script("inference", picture, checkpoint, *flags).status == 0  # over its own mask
    (tmp_path / "shapes_000006_mask.png").unlink()
    write_mask(tmp_path / "shapes_000006_mask.png", labels, DATA_SET)
    result = script("inference", picture, checkpoint, *flags)
    assert result.status == 2 and "no output of this program" in result.err


def test_one_failing_picture_among_many_is_named_and_the_rest_done(
    script, checkpoint, picture, tmp_path
):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.new("RGB", (400, 20)).save(tmp_path / "wide.png")
    inputs = [tmp_path / "bad.jpg", picture, tmp_path / "wide.png", tmp_path / "wide.png"]
    flags = ["--save_dir", tmp_path / "out", "--input_size", "300,300"]
    result = script("inference", *inputs, checkpoint, *flags)
    assert result.status == 1
    errors = result.err.splitlines()
    assert len(errors) == 2 and all(line.startswith("error: ") for line in errors)
    assert "bad.jpg" in errors[0] and "wide.png" in errors[1]
    assert "2 of 3 pictures failed" in result.out
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["shapes_000006_mask.png"]


def test_many_pictures_have_a_bar_and_a_file_of_their_shares(script, checkpoint, picture, tmp_path):
    for number in range(5):
        shutil.copy(picture, tmp_path / f"{number}.jpg")
    (tmp_path / "5.jpg").write_bytes(b"\xff\xd8\xff nothing")
    flags = ["--save_dir", tmp_path / "out", "--json", tmp_path / "out/shares.json"]
    result = script("inference", tmp_path, checkpoint, *flags)
    assert result.status == 1 and "6/6" in result.err and result.out.count(" -> ") == 5
    *good, bad = json.loads((tmp_path / "out/shares.json").read_text())["pictures"]
    assert bad["picture"] == str(tmp_path / "5.jpg") and "5.jpg" in bad["error"]
    for number, each in enumerate(good):
        labels = read_mask(tmp_path / f"out/{number}_mask.png", 21)
        assert each["mask"] == str(tmp_path / f"out/{number}_mask.png")
        assert each["shares"]["background"] == (labels == 0).mean()
        assert sum(each["shares"].values()) == pytest.approx(1)
    assert script("inference", tmp_path / "1.jpg", checkpoint, *flags).status == 0
    (tmp_path / "mine.json").write_text("[]")
    result = script("inference", picture, checkpoint, *flags[:2], "--json", tmp_path / "mine.json")
    assert result.status == 2 and "no earlier output" in result.err


@pytest.mark.parametrize(
    ("module", "name"), [(pictures, "read_image"), (outputs, "write_mask")], ids=["begin", "finish"]
)
def test_a_picture_too_large_for_the_memory_is_named_and_the_rest_done(
    script, checkpoint, picture, tmp_path, monkeypatch, module, name
):
    Image.new("RGB", (20, 10)).save(tmp_path / "large.png")
    whole = getattr(module, name)

    def without_memory(path, *rest, **options):
        if path.name.startswith("large"):
            raise MemoryError
        return whole(path, *rest, **options)

    monkeypatch.setattr(module, name, without_memory)
    inputs, flags = [tmp_path / "large.png", picture], ["--save_dir", tmp_path / "out"]
    result = script("inference", *inputs, checkpoint, *flags)
    assert result.status == 1 and "1 of 2 pictures failed" in result.out
    assert result.err.startswith("error: ") and result.err.count("\n") == 1, result.err
    for word in (tmp_path / "large.png", "memory", "--tile", "--max_side"):
        assert str(word) in result.err


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--scales", "1,1"], "--scales"),
        (["--scales", "1,x"], "--scales"),
        (["--tile", "100"], "--tile"),
        (["--tile", "64", "--crf"], "--max_side"),
        (["--tile", "64", "--input_size", "65,65"], "exclude"),
        (["--overlay", "nan"], "--overlay"),
        (["--min_confidence", "90"], "--min_confidence"),
        (["--bi_w", "3"], "add --crf"),
        (["--crf", "--bi_w", "1e39"], "--bi_w"),
        (["--input_size", "50,50"], "does not fit"),
    ],
)
def test_flags_that_make_no_sense_are_named(script, checkpoint, picture, tmp_path, flags, word):
    result = script("inference", picture, checkpoint, "--save_dir", tmp_path, *flags)
    assert result.status == 2 and result.err.count("\n") == 1, result.err
    assert result.err.startswith("error: ") and word in result.err


def test_nothing_is_written_over_a_foreign_file(script, checkpoint, picture, tmp_path):
    """Nor over a pipe, which is not waited for."""
    mask, scores = (tmp_path / f"shapes_000006_{kind}" for kind in ("mask.png", "scores.npy"))
    flags = ["--save_dir", tmp_path, "--save_scores"]
    no_dictionary = b"\x93NUMPY\1\0\3\0no\n"
    for path, content in ((scores, b"precious"), (scores, no_dictionary), (mask, b"precious")):
        path.write_bytes(content)
        result = script("inference", picture, checkpoint, *flags)
        assert result.status == 2 and f"{path} exists" in result.err
        assert path.read_bytes() == content
        path.unlink()
    for path in (mask, scores):
        os.mkfifo(path)
        result = script("inference", picture, checkpoint, *flags)
        assert result.status == 2 and f"{path} exists" in result.err
        path.unlink()


def test_a_folder_gives_its_files_and_their_names_no_orders(script, checkpoint, picture, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(picture, folder / "a\x1b[31m\u202e.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (tmp_path / "names.txt").write_text("\n".join(f"\x1b[{n}m" for n in range(21)))
    flags = ["--save_dir", tmp_path / "out", "--class_names", tmp_path / "names.txt"]
    result = script("inference", folder, checkpoint, *flags)
    assert result.status == 0, result.err
    line = result.out.splitlines()[-1]
    assert line.isprintable() and f"{folder}/a?[31m?.jpg -> " in line and "?[0m " in line


def test_a_pipe_is_named_before_anything_is_done(script, checkpoint, tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    result = script("inference", tmp_path / "a.jpg", checkpoint, "--save_dir", tmp_path / "out")
    assert result.status == 2 and result.err.count("\n") == 1 and result.out == ""
    assert f"error: {tmp_path}/a.jpg is a folder, a pipe or a device" in result.err


def test_a_picture_in_the_place_of_the_weights(script, checkpoint, picture, tmp_path):
    (tmp_path / "net.npz").touch()
    for weights in (checkpoint, checkpoint.parent, tmp_path / "net.npz"):
        for rest in ([picture], [picture, picture.parent], []):
            result = script("inference", weights, *rest)
            assert result.status == 2 and f"error: {weights} is no picture" in result.err
            assert "the weights come last: inference.py PICTURE... CKPT" in result.err


@pytest.mark.parametrize("name", ["history.csv", "weights_int8.npz"])
def test_a_folder_of_weights_with_a_figure_holds_no_pictures(script, picture, tmp_path, name):
    (tmp_path / "run").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "run/history.png")
    (tmp_path / "run" / name).touch()
    result = script("inference", picture, tmp_path / "run")
    assert result.status == 2 and "no checkpoint in the folder" in result.err


def test_masks_of_a_data_set_are_no_pictures(tmp_path):
    for name in ("own/a.jpg", "VOC/JPEGImages/b.jpg", "VOC/SegmentationObject/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(tmp_path / name)
    for folder in ("own/masks", "VOC/SegmentationClass"):
        (tmp_path / folder).mkdir()
    write_mask(tmp_path / "own/masks/a.png", np.zeros((3, 4), np.uint8), DATA_SET)
    Image.new("P", (4, 3)).save(tmp_path / "VOC/SegmentationClass/b.png")
    found = {tmp_path / "VOC/JPEGImages/b.jpg": 3, tmp_path / "own/a.jpg": 2}
    assert find_images([str(tmp_path)]) == found


def test_folders_are_taken_whole_but_for_masks(script, checkpoint, tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("a.png", "a_mask.png", "deep/a.png", "deep/b_mask.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / "in" / name)
    for _ in range(2):  # over its own outputs, which lie below too
        result = script("inference", tmp_path / "in", checkpoint, "--save_dir", tmp_path / "in/o")
        assert result.status == 0, result.err
    masks = sorted(
        str(path.relative_to(tmp_path / "in/o")) for path in (tmp_path / "in/o").rglob("*.png")
    )
    assert masks == ["a_mask.png", "deep/a_mask.png", "deep/b_mask_mask.png"]


def test_names_keep_the_folders_below_what_is_given(script, checkpoint, tmp_path, monkeypatch):
    """And where others had been numbered, the masks of earlier runs stay as they are."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a/1.png", "in/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    assert script("inference", "in", checkpoint).status == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("output/*/*")}
    assert [str(path.relative_to(tmp_path)) for path in sorted(before)] == [
        "output/a/1_mask.png",
        "output/b/1_mask.png",
    ]
    (tmp_path / "in/aa").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "in/aa/1.png")
    flags = ["--skip_existing", "--csv", "verdicts.csv"]
    result = script("inference", "in/*/1.png", checkpoint, *flags)
    assert result.status == 0 and result.out.count("_mask.png (kept): ") == 2
    assert (tmp_path / "output/aa/1_mask.png").exists()
    assert before == {path: path.stat().st_mtime_ns for path in before}
    rows = list(csv.DictReader((tmp_path / "verdicts.csv").read_text().splitlines()))
    assert len(rows) == 3 * 21 and {row["image"] for row in rows} == set(glob.glob("in/*/*"))
    assert all(row["score"] == "" for row in rows if row["image"] == "in/a/1.png")
    with_scores = script("inference", "in", checkpoint, "--skip_existing", "--save_scores")
    assert with_scores.status == 0 and "kept" not in with_scores.out


def test_a_threshold_gives_verdicts_and_probabilities_can_be_kept(
    script, checkpoint, picture, tmp_path
):
    table, flags = tmp_path / "verdicts.csv", ["--crf", "--min_region", 20, "--save_dir", tmp_path]
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    flags += ["--csv", table, "--save_probabilities", "--threshold", "sofa=0.9"]
    result = script("inference", tmp_path / "bad.jpg", picture, checkpoint, *flags)
    assert result.status == 1 and "sofa from 0.9 on; regions from 20 pixels on" in result.out
    options = {"crf": DenseCRF(), "threshold": ("sofa", 0.9), "min_region": 20}
    predictor, image = Predictor(checkpoint, **options), read_image(picture)
    labels, probabilities = predictor(image), predictor.probabilities(image)
    np.testing.assert_array_equal(read_mask(tmp_path / "shapes_000006_mask.png", 21), labels)
    np.testing.assert_array_equal(
        np.load(tmp_path / "shapes_000006_probabilities.npy"), probabilities
    )
    bad, *rows = csv.DictReader(table.read_text().splitlines())
    assert "bad.jpg" in bad["error"] and bad["class"] == ""
    sofa = verdicts(labels, [(slice(None), probabilities)])[18]
    assert rows[18]["class"] == "sofa" and float(rows[18]["share"]) == sofa.share
    assert [int(rows[18][name]) for name in ("regions", "largest_region")] == list(sofa[1:3])
    assert float(rows[18]["score"]) == pytest.approx(sofa.score)
    line = f"(regions: {sofa.regions}, largest: {sofa.largest_region} pixels, score "
    assert f"sofa {sofa.share:.1%} {line}{sofa.score:.3f})" in result.out
    for name, word in (("sofas=0.9", "no class 'sofas'"), ("sofa", "'sofa' is not a class")):
        result = script("inference", picture, checkpoint, *flags[:-1], name)
        assert result.status == 2 and word in result.err
    table.write_text("mine")
    result = script("inference", picture, checkpoint, *flags)
    assert result.status == 2 and f"{table} exists and is no earlier output" in result.err
