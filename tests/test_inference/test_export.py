"""What util/export.py writes, loaded back without this code and compared with the Predictor."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import Predictor
from deeplab_lfov.data.image_files import read_mask
from deeplab_lfov.voc import CLASS_NAMES

SERVE = """
import sys, numpy, tensorflow as tf
assert not any("deeplab_lfov" in path for path in sys.path) and "deeplab_lfov" not in sys.modules
model = tf.saved_model.load(sys.argv[1])
given = {"image": tf.constant(numpy.load(sys.argv[2]))}
names = model.signatures["class_names"]()["class_names"]
found = model.signatures["serving_default"](**given)
numpy.savez(sys.argv[3], names=names.numpy().astype(str), **found)
"""


@pytest.fixture(scope="module")
def images():
    """Two pictures of a size that is not on the network's grid."""
    return np.random.default_rng(0).integers(0, 256, (2, 50, 61, 3), np.uint8)


def assert_same(mask, probabilities, predictor, image):
    """Masks may differ where two classes are equal but for rounding.

    The reference network's scores span hundreds, and their rounding shows in probabilities.
    """
    expected = predictor.probabilities(image)
    np.testing.assert_allclose(probabilities, expected, atol=5e-4)
    best = np.take_along_axis(expected, mask[..., np.newaxis].astype(int), -1)[..., 0]
    assert (best >= expected.max(axis=-1) - 5e-4).all()
    assert (mask == predictor(image)).mean() > 0.999


def test_a_saved_model_serves_what_inference_gives(
    script, checkpoint, reference_model, images, tmp_path
):
    result = script("util.export", checkpoint, tmp_path / "export")
    assert result.status == 0 and result.err == "", result.err
    np.save(tmp_path / "images.npy", images)
    arguments = [tmp_path / name for name in ("export/saved_model", "images.npy", "found.npz")]
    subprocess.run([sys.executable, "-I", "-c", SERVE, *arguments], cwd=tmp_path, check=True)
    with np.load(tmp_path / "found.npz") as found:
        assert tuple(found["names"]) == CLASS_NAMES
        assert found["mask"].dtype == np.uint8 and found["mask"].shape == (2, 50, 61)
        for image, *served in zip(images, found["mask"], found["probabilities"], strict=True):
            assert_same(*served, Predictor(reference_model), image)
        mask = found["mask"][0]
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    result = script("inference", tmp_path / "a.png", checkpoint, "--save_dir", tmp_path)
    assert result.status == 0, result.err
    assert (read_mask(tmp_path / "a_mask.png", 21) == mask).mean() > 0.999


def test_tflite_gives_what_inference_gives(script, checkpoint, reference_model, images, tmp_path):
    result = script("util.export", checkpoint, tmp_path / "export", "--tflite", "50,61")
    assert result.status == 0 and result.err == "", result.err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package that takes its place one day
        interpreter = tf.lite.Interpreter(str(tmp_path / "export/model.tflite"))
    runner = interpreter.get_signature_runner()
    found = runner(image=images[:1])
    assert_same(found["mask"][0], found["probabilities"][0], Predictor(reference_model), images[0])
    names = {operation["op_name"] for operation in interpreter._get_ops_details()}
    assert not any(name.startswith("Flex") for name in names)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["nowhere.ckpt", "out"], "nowhere.ckpt"),
        (["{checkpoint}", "/dev/null/x"], "/dev/null/x"),
        (["{checkpoint}", "out", "--tflite", "0,5"], "--tflite"),
        (["{checkpoint}", "out", "--class_names", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_mistakes_are_named(script, checkpoint, tmp_path, monkeypatch, flags, word):
    monkeypatch.chdir(tmp_path)
    result = script("util.export", *(flag.format(checkpoint=checkpoint) for flag in flags))
    assert result.status == 2 and result.err.count("\n") == 1, result.err
    assert result.err.startswith("error: ") and word in result.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(script, checkpoint, tmp_path):
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model/precious").touch()
    result = script("util.export", checkpoint, tmp_path)
    assert result.status == 2 and "saved_model exists" in result.err
    assert [path.name for path in tmp_path.rglob("*")] == ["saved_model", "precious"]
