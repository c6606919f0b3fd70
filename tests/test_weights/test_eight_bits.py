import numpy as np
import pytest

from deeplab_lfov import Predictor
from deeplab_lfov.weights.checkpoints import fit_of
from deeplab_lfov.weights.eight_bits import pack, unpack
from deeplab_lfov.weights.formats import read_weights
from helpers import DATA


def test_a_filter_is_whole_numbers_times_its_channels_scale():
    filters = np.zeros((1, 1, 2, 3), np.float32)
    filters[0, 0] = [[2.54, 1.0, 0], [-1.27, -0.5, 0]]
    packed = pack({"conv1_1/w": filters, "conv1_1/b": np.ones(3, np.float32)})
    assert packed["conv1_1/w"].dtype == np.int8
    np.testing.assert_array_equal(packed["conv1_1/w"][0, 0], [[127, 127, 0], [-64, -64, 0]])
    np.testing.assert_allclose(packed["conv1_1/w/scale"], [0.02, 1 / 127, 1], rtol=1e-6)
    again = unpack(packed)
    np.testing.assert_allclose(again["conv1_1/w"], filters, atol=0.0101)
    np.testing.assert_array_equal(again["conv1_1/b"], [1, 1, 1])
    assert sorted(again) == ["conv1_1/b", "conv1_1/w"]


def test_tensors_that_were_not_packed_stay_as_they_are():
    tensors = {
        "fc6/w": np.ones((1, 1, 2, 3), np.float32),  # no 8 bits
        "fc6/w/scale": np.ones(3, np.float32),
        "fc7/w": np.ones((1, 1, 2, 3), np.int8),
        "fc7/w/scale": np.ones(2, np.float32),  # of other channels
        "bn/scale": np.ones(3, np.float32),
        "names": np.array(["a"]),
        "names/scale": np.ones(1, np.float32),
    }
    unpacked = unpack(tensors)
    assert list(unpacked) == list(tensors)
    assert all(unpacked[name] is tensors[name] for name in tensors)


def test_half_precision_is_packed_without_overflow():
    filters = np.array([1e-6, -1e-6, 7e-4], np.float16).reshape(1, 1, 3, 1)
    packed = unpack(pack({"fc7/w": filters}))["fc7/w"]
    np.testing.assert_allclose(packed, filters.astype(np.float32), atol=3e-6)


@pytest.fixture
def exported(script, tmp_path, checkpoint):
    about = ["--about", "drawn shapes; mean IoU 0.5"]
    result = script("util.export", checkpoint, tmp_path / "out", "--int8", *about)
    assert result.status == 0, result.err
    return tmp_path / "out/weights_int8.npz"


def test_an_export_in_8_bits_is_read_as_weights(exported, checkpoint):
    image = np.random.default_rng(0).integers(0, 256, (65, 97, 3), np.uint8)
    expected, scores = (Predictor(path).scores(image) for path in (checkpoint, exported))
    assert np.abs(scores - expected).max() < 0.02 * np.ptp(expected)
    assert exported.stat().st_size < 0.3 * 4 * 86_661
    fit = fit_of(read_weights(exported), exported)
    assert fit.classes.names[15] == "person" and fit.about == "drawn shapes; mean IoU 0.5"


def test_flags_of_an_export_that_have_no_effect(script, tmp_path, checkpoint):
    result = script("util.export", checkpoint, tmp_path / "out", "--about", "x")
    assert result.status == 2 and "--about does nothing without --int8" in result.err
    flags = ["--int8", "--tflite", "33,33"]
    result = script("util.export", checkpoint, tmp_path / "out", *flags)
    assert result.status == 2 and "leave out --tflite" in result.err


def test_a_seed_is_not_exported(script, tmp_path):
    source = DATA / "vgg16_narrow_v1.caffemodel"
    assert script("util.extract_params", source, "--output_dir", tmp_path / "seed").status == 0
    result = script("util.export", tmp_path / "seed", tmp_path / "out", "--int8")
    assert result.status == 2 and "fc8_voc12 of" in result.err and "are random" in result.err
    assert not (tmp_path / "out").exists()
