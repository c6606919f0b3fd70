import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel
from deeplab_lfov.network.engine import Convolutions
from deeplab_lfov.network.layers import parameter_shapes
from helpers import DATA, NARROW


@pytest.mark.parametrize("name", ["pool1", "pool3", "conv5_3", "pool5a", "fc7", "fc8_voc12"])
def test_blobs_are_caffes(reference_model, caffe_blobs, name):
    blobs = dict(reference_model.blobs(caffe_blobs["data"]))
    np.testing.assert_allclose(
        blobs[name], caffe_blobs[name], rtol=0, atol=1e-5 * np.ptp(caffe_blobs[name])
    )


def test_first_tensorflow_version_differs_at_the_border_only(reference_model):
    with np.load(DATA / "tf012_narrow_scores.npz") as first:
        error = np.abs(reference_model.scores(first["input"]) - first["scores"])
        scale = np.ptp(first["scores"])
    assert error[:, 1:-1, 1:-1].max() < 1e-5 * scale
    assert error[:, 0].max() > 1e-2 * scale


def test_number_of_parameters():
    shapes = parameter_shapes(num_classes=21, width=1.0).values()
    assert sum(map(np.prod, shapes)) == 20_505_429
    model = DeepLabLFOVModel(num_classes=3, width=NARROW)
    assert model.num_parameters == sum(v.numpy().size for v in model.parameters.values())


def test_other_sizes_are_padded_with_the_mean(reference_model):
    image = tf.random.stateless_normal([1, 60, 91, 3], [0, 1]) * 50
    padded = tf.pad(image, [[0, 0], [0, 5], [0, 6], [0, 0]])
    np.testing.assert_array_equal(reference_model.scores(image), reference_model.scores(padded))
    assert reference_model.preds(image).shape == (1, 60, 91, 1)


def test_preds_are_the_argmax_of_aligned_bilinear_scores(reference_model, caffe_blobs):
    scores = caffe_blobs["fc8_voc12"][0]
    labels = reference_model.preds(caffe_blobs["data"])[0, ..., 0]
    np.testing.assert_array_equal(labels[::8, ::8], scores.argmax(-1))
    between = 0.25 * scores[3, 4] + 0.75 * scores[4, 4]  # pixel row 8 * 3.75
    assert labels[30, 32] == between.argmax()


LABEL = """
import sys, numpy, tensorflow as tf
assert "deeplab_lfov" not in sys.modules
model = tf.saved_model.load(sys.argv[1])
numpy.save(sys.argv[2], model.preds(tf.constant(numpy.load(sys.argv[3]))))
"""


def test_preds_can_leave_the_process(wide_enough, tmp_path):
    """Another process labels with a saved model, though layers here use Winograd's algorithm."""
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
    images = np.random.default_rng(0).normal(0, 50, (1, 20, 31, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    arguments = [tmp_path / name for name in ("saved", "labels.npy", "images.npy")]
    subprocess.run([sys.executable, "-I", "-c", LABEL, *arguments], cwd=tmp_path, check=True)
    labels = np.load(tmp_path / "labels.npy")
    np.testing.assert_array_equal(labels, model.preds(images))


@pytest.mark.parametrize("change", [{"conv1_2/w": np.zeros((3, 3, 9, 9))}, {"fc7/b": None}])
def test_initial_values_must_be_there_and_fit(change):
    initial = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0).parameters | change
    initial = {name: value for name, value in initial.items() if value is not None}
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"initial has no {name} of shape"):
        DeepLabLFOVModel(num_classes=3, width=NARROW, initial=initial)


def test_one_trace_serves_all_sizes():
    model = DeepLabLFOVModel(width=NARROW)
    for height, width in [(17, 17), (30, 41), (65, 9)]:
        model.preds(tf.zeros([1, height, width, 3]))
    assert model.preds.experimental_get_tracing_count() == 1


def test_loss_is_the_mean_over_labelled_cells():
    model = DeepLabLFOVModel(num_classes=2, width=NARROW)
    model.parameters["fc8_voc12/w"].assign(tf.zeros([1, 1, 64, 2]))
    model.parameters["fc8_voc12/b"].assign([np.log(3.0), 0.0])  # softmax (3/4, 1/4) everywhere
    labels = np.full([1, 17, 17, 1], 255, np.uint8)
    assert model.loss(tf.zeros([1, 17, 17, 3]), labels) == 0
    labels[0, 0, 0], labels[0, 8, 8], labels[0, 16, 8] = 0, 0, 1
    labels[0, 3, 3] = 1  # not on the grid
    expected = -(2 * np.log(3 / 4) + np.log(1 / 4)) / 3
    np.testing.assert_allclose(model.loss(tf.zeros([1, 17, 17, 3]), labels), expected, rtol=1e-6)


def test_void_cells_have_no_gradient():
    model = DeepLabLFOVModel(num_classes=2, width=NARROW, seed=0)
    with tf.GradientTape() as tape:
        loss = model.loss(tf.ones([1, 17, 17, 3]), np.full([1, 17, 17, 1], 255, np.uint8))
    gradient = tape.gradient(loss, model.parameters["conv1_1/w"])
    np.testing.assert_array_equal(gradient, np.zeros([3, 3, 3, 4]))


def test_dropout_is_a_function_of_seed_and_sample_number():
    model = DeepLabLFOVModel(num_classes=2, width=NARROW, seed=0)
    images = tf.random.stateless_normal([3, 17, 17, 3], [0, 1]) * 50
    whole = model.scores(images, training=True, seed=[5, 10])
    part = model.scores(images[1:], training=True, seed=[5, 11])
    np.testing.assert_allclose(whole[1:], part, rtol=1e-5, atol=1e-6)
    other = model.scores(images, training=True, seed=[6, 10])
    assert np.abs(whole - other).max() > 1e-3


def test_dropout_keeps_the_share_and_the_mean():
    model = DeepLabLFOVModel(num_classes=2, width=0.25, dropout=0.75, seed=0)
    images = tf.random.stateless_normal([1, 129, 129, 3], [0, 1]) * 50
    blobs = dict(model.blobs(images, training=True, seed=[0, 0]))
    fired = blobs["fc6"] > 0
    kept = blobs["drop6"] > 0
    share = tf.math.count_nonzero(kept).numpy() / tf.math.count_nonzero(fired).numpy()
    assert share == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(blobs["drop6"][kept], blobs["fc6"][kept] * 4)


def test_conv1_1_is_computed_again_for_its_gradient_which_is_the_same(monkeypatch):
    model = DeepLabLFOVModel(num_classes=2, width=NARROW, seed=0)
    images = tf.random.stateless_normal([1, 33, 33, 3], [0, 1]) * 50
    labels = tf.ones([1, 33, 33, 1], tf.uint8)
    applied, apply = [], Convolutions.apply

    def counted(self, x, layer, tilings):
        applied.append(layer.name)
        return apply(self, x, layer, tilings)

    def gradients():
        with tf.GradientTape() as tape:
            loss = model.loss(images, labels, training=True, seed=[0, 0])
        return tape.gradient(loss, model.parameters)

    monkeypatch.setattr(Convolutions, "apply", counted)
    found = tf.function(gradients)()
    assert applied.count("conv1_1") == 2 and applied.count("conv2_1") == 1
    monkeypatch.setattr(tf, "recompute_grad", lambda function: function)
    for name, expected in tf.function(gradients)().items():
        np.testing.assert_array_equal(found[name], expected)


def test_training_with_dropout_needs_a_seed():
    with pytest.raises(ValueError, match="needs a seed"):
        DeepLabLFOVModel(width=NARROW).scores(tf.zeros([1, 9, 9, 3]), training=True)


def test_filters_start_glorot_uniform_and_follow_the_seed():
    one, same, other = (DeepLabLFOVModel(width=0.25, seed=seed) for seed in (1, 1, 2))
    filters = one.parameters["fc6/w"].numpy()
    limit = np.sqrt(6 / (9 * (128 + 256)))
    assert limit * 0.99 < np.abs(filters).max() <= limit
    np.testing.assert_array_equal(filters, same.parameters["fc6/w"])
    assert np.any(filters != other.parameters["fc6/w"])
    assert not one.parameters["fc6/b"].numpy().any()


def test_variables_have_the_names_of_the_first_tensorflow_version(reference_model):
    tensors = {name: value.numpy() for name, value in reference_model.parameters.items()}
    loaded = DeepLabLFOVModel(reference_model.num_classes, reference_model.width, initial=tensors)
    for network in (reference_model, loaded):
        assert all(v.name == f"{name}:0" for name, v in network.parameters.items())
    for name, value in loaded.parameters.items():
        np.testing.assert_array_equal(value, tensors[name])


def test_bfloat16_scores_are_close(reference_model, caffe_blobs):
    model = DeepLabLFOVModel(width=NARROW, precision="bfloat16")
    for name, parameter in model.parameters.items():
        parameter.assign(reference_model.parameters[name])
    scores, expected = model.scores(caffe_blobs["data"]), caffe_blobs["fc8_voc12"]
    assert scores.dtype == tf.float32
    assert 0 < np.abs(scores - expected).max() < 0.05 * np.ptp(expected)


@pytest.mark.parametrize(
    "arguments",
    [{"width": 0.1}, {"width": 0}, {"num_classes": 0}, {"dropout": 1}, {"precision": "int8"}],
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError):
        DeepLabLFOVModel(**arguments)
