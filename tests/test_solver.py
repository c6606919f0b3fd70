import numpy as np
import pytest
import tensorflow as tf
from conftest import NARROW

from deeplab_lfov import DeepLabLFOVModel, Solver


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.normal(0, 50, (2, 17, 25, 3)).astype(np.float32)
    return images, rng.integers(0, 3, (2, 17, 25, 1)).astype(np.uint8)


def test_adam_follows_the_paper_on_one_parameter(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, dropout=0, seed=0)
    solver, bias = Solver(model, learning_rate=0.01), model.parameters["fc8_voc12/b"]
    moment = second = np.zeros(3)
    for step in (1, 2, 3):
        with tf.GradientTape() as tape:
            loss = model.loss(*batch)
        gradient = tape.gradient(loss, bias).numpy().astype(np.float64)
        moment = 0.9 * moment + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = moment / (1 - 0.9**step), second / (1 - 0.999**step)
        expected = bias.numpy() - 0.01 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        np.testing.assert_allclose(solver.step(*batch), loss, rtol=1e-5)
        np.testing.assert_allclose(bias, expected, rtol=1e-4)
    assert solver.global_step == 3


def test_a_network_learns_one_batch_by_heart(batch):
    model = DeepLabLFOVModel(num_classes=3, width=0.125, dropout=0, seed=0)
    solver = Solver(model, learning_rate=1e-3)
    images, labels = batch
    labels = np.broadcast_to([[[[2]]], [[[1]]]], labels.shape).astype(np.uint8)
    losses = [float(solver.step(images, labels)) for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]


def test_steps_repeat_with_the_seed_and_not_without(batch):
    def train(seed):
        model = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
        solver = Solver(model, seed=seed)
        return [float(solver.step(*batch)) for _ in range(3)]

    np.testing.assert_allclose(train(1), train(1), rtol=1e-5)
    assert abs(train(1)[0] - train(2)[0]) > 1e-4


def test_all_void_batches_change_little_and_make_no_nan(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
    before = model.parameters["conv1_1/w"].numpy()
    assert Solver(model).step(batch[0], np.full_like(batch[1], 255)) == 0
    np.testing.assert_array_equal(model.parameters["conv1_1/w"], before)


def test_one_trace_serves_all_sizes(batch):
    solver = Solver(DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0))
    solver.step(*batch)
    solver.step(batch[0][:1, :9], batch[1][:1, :9])
    assert solver.step.experimental_get_tracing_count() == 1
