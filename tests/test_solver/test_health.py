import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel
from deeplab_lfov.solver.health import Health, entropy
from helpers import NARROW


@pytest.fixture
def model():
    return DeepLabLFOVModel(num_classes=2, width=NARROW, seed=0)


@pytest.fixture
def crop():
    return tf.random.stateless_normal([33, 33, 3], [0, 1]) * 60


def labels_of(ones):
    """Labels on 2 x 5 positions of the logits, of which so many are 1, the last void."""
    labels = np.full((1, 16, 40, 1), 0, np.uint8)
    grid = np.array([1] * ones + [0] * (9 - ones) + [255], np.uint8)
    labels[0, ::8, ::8, 0] = grid.reshape(2, 5)
    return tf.constant(labels)


def test_entropy_is_the_loss_of_guessing_by_the_shares():
    assert entropy(np.array([1, 1, 0, 2]), [1] * 4) == pytest.approx(1.5 * np.log(2))
    assert entropy(np.array([6, 1]), [1, 6]) == pytest.approx(np.log(2))
    assert entropy(np.array([0, 0]), [1, 1]) == entropy(np.array([0, 5]), [1, 1]) == 0


def fed(health, steps, loss=0.70):
    """Add steps of one label in three, whose entropy is 0.64."""
    for _ in range(steps):
        health.add(loss, labels_of(3))
    return health


def kill(model):
    model.parameters["conv5_3/b"].assign(tf.fill([32], -1e6))


def test_a_network_that_dies_is_warned_of(model, crop):
    health = fed(Health(model, crop), 20)
    assert health.warning(20) is None  # all channels answer: it has not begun to learn
    kill(model)
    warning = health.warning(20)
    assert "after step 20 0% of conv5_3's channels answer" in warning
    assert "mean loss 0.70 is no lower than 0.64" in warning and "--learning_rate" in warning


def test_a_network_that_is_dead_when_it_is_resumed_is_warned_of_once(model, crop):
    kill(model)
    health = fed(Health(model, crop), 9)
    assert health.warning(1009) is None  # too few steps say nothing
    assert "the network dies" in fed(health, 1).warning(1010)
    assert health.warning(1020) is None


def test_a_network_that_learns_is_not_warned_of(model, crop):
    health = Health(model, crop)
    kill(model)
    assert fed(health, 200, loss=0.5).warning(600) is None


def test_no_more_than_the_classes_shares_after_long(model, crop):
    health = Health(model, crop, class_weights=[1, 2])
    fed(health, 199, loss=0.75)  # weighed: 6 to 6, entropy 0.69
    assert health.warning(199) is None
    warning = fed(health, 1, loss=0.75).warning(500)
    assert "nothing of the images has been learned in 500 steps" in warning


def test_the_last_steps_are_compared_more_of_them_later(model, crop):
    health = Health(model, crop)
    kill(model)
    assert fed(fed(health, 90, 9.0), 10, 0.1).warning(100) is None
    fed(fed(health, 190, 9.0), 10, 0.1)
    assert "mean loss 8.55" in health.warning(1000)


@pytest.mark.parametrize("label", [0, 255])
def test_steps_of_one_class_or_none_say_nothing(model, crop, label):
    health = Health(model, crop)
    kill(model)
    for _ in range(200):
        health.add(0.1, tf.fill([1, 16, 40, 1], tf.constant(label, tf.uint8)))
    assert health.warning(1000) is None
