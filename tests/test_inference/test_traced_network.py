import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel, Predictor, Solver, SolverSettings
from deeplab_lfov.inference.tiles import STRIP, STRIP_MARGIN
from deeplab_lfov.inference.traced_network import TracedNetwork, padded
from deeplab_lfov.network import arithmetic
from deeplab_lfov.network.large_fov import PreparedLargeFOV
from deeplab_lfov.network.layers import CONVOLUTIONS
from deeplab_lfov.preprocess import network_input
from deeplab_lfov.weights.checkpoints import export_weights
from helpers import prepared_from


def traced(model):
    return TracedNetwork(prepared_from(model))


def pictures(height, width, num=1):
    return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), np.uint8)


def test_prepared_scores_are_the_models(reference_model):
    prepared = traced(reference_model)
    for images, size in ((pictures(400, 61, num=2), [1, 1]), (pictures(17, 90), [33, 41])):
        expected = reference_model.scores(padded(images, size))
        scores = prepared(images, size)
        assert scores.shape == expected.shape and scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=1e-5 * np.ptp(expected))


def test_early_layers_see_a_strip_at_a_time(reference_model):
    network, heights = traced(reference_model), []
    early = network.early
    network.early = lambda images: heights.append(images.shape[1]) or early(images)
    network(pictures(400, 20), [1, 1])
    inner = 4 * (STRIP + 2 * STRIP_MARGIN - 1) + 1
    assert len(heights) > 2 and max(heights) == inner < 401


def test_prepared_scores_by_winograd_are_the_models_without(reference_model, wide_enough):
    images = pictures(300, 61)
    scores = traced(reference_model)(images, [1, 1])
    plain = reference_model.plain_convolutions()
    expected = reference_model.scores(network_input(images), convolutions=plain)
    assert np.any(scores != expected)  # it is another algorithm
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_steps_of_a_solver_do_not_reach_what_is_prepared(optimizer):
    """They write into the variables' own memory."""
    model = DeepLabLFOVModel(3, 1 / 64, seed=0)
    solver = Solver(model, SolverSettings(optimizer=optimizer, learning_rate=0.1))
    prepared, images = traced(model), pictures(20, 20)
    before = prepared(images, [1, 1])
    solver.step(np.ones((1, 17, 17, 3), np.float32), np.ones((1, 17, 17, 1), np.uint8))
    np.testing.assert_array_equal(prepared(images, [1, 1]), before)
    assert np.any(model.scores(padded(images, [1, 1])) != before)


def test_arrays_are_taken_and_may_be_written_to_after_they_were_prepared():
    model = DeepLabLFOVModel(3, 1 / 64, seed=0)
    arrays = {name: variable.numpy().copy() for name, variable in model.parameters.items()}
    taken = dict(arrays)
    prepared, images = TracedNetwork(PreparedLargeFOV(taken, 3, 1 / 64)), pictures(20, 20)
    assert not taken  # nothing else keeps them in memory
    before = prepared(images, [1, 1])
    for array in arrays.values():
        array += 1
    np.testing.assert_array_equal(prepared(images, [1, 1]), before)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_types_become_float32(tmp_path, dtype):
    model = DeepLabLFOVModel(3, 1 / 64, seed=0)
    arrays = {name: variable.numpy().astype(dtype) for name, variable in model.parameters.items()}
    np.savez(tmp_path / "weights.npz", **arrays)
    image = pictures(20, 20)[0]
    expected = Predictor(DeepLabLFOVModel(3, 1 / 64, initial=arrays)).scores(image)
    found = Predictor(tmp_path / "weights.npz").scores(image)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected))


def test_predictors_share_what_is_prepared_and_cannot_train_it(tmp_path):
    model = DeepLabLFOVModel(3, 1 / 64, seed=0)
    export_weights(model, tmp_path / "model.ckpt-1")
    one = Predictor(tmp_path / "model.ckpt-1")
    image = pictures(20, 20)[0]
    np.testing.assert_array_equal(Predictor(one.model).scores(image), one.scores(image))
    with pytest.raises(ValueError, match="load_model"):
        one.model.scores(network_input(image[np.newaxis]), training=True)


@pytest.mark.parametrize("emulated", [False, True])
def test_bfloat16_stays_near(reference_model, monkeypatch, emulated):
    monkeypatch.setattr(arithmetic, "is_x86_without_bfloat16", lambda: emulated)
    half = DeepLabLFOVModel(21, 1 / 16, precision="bfloat16")
    for name, variable in reference_model.parameters.items():
        half.parameters[name].assign(variable)
    images = pictures(300, 61)
    expected = half.scores(padded(images, [1, 1]))
    found = traced(half)(images, [1, 1])
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_filters_are_on_the_device_and_not_in_the_graph(precision):
    """They are tensors that eager operations made, on the device of the caller."""
    network = traced(DeepLabLFOVModel(3, 1 / 64, precision=precision, seed=0))
    graphs = [part.get_concrete_function() for part in (network.early, network.late)]
    captured = [tensor for graph in graphs for tensor in graph.captured_inputs]
    assert len(captured) == 2 * len(CONVOLUTIONS)
    assert {tensor.device for tensor in captured} == {(tf.ones(1) + 1).device}
    assert all(tensor.dtype != tf.resource for tensor in captured)
    for graph in graphs:
        constants = [node for node in graph.graph.as_graph_def().node if node.op == "Const"]
        assert all(tf.make_ndarray(node.attr["value"].tensor).size < 2000 for node in constants)
