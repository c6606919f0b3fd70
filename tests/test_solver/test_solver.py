import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel, Solver, SolverSettings, load_weights
from deeplab_lfov.solver.rate_policy import RatePolicy
from helpers import DATA, NARROW


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.normal(0, 50, (2, 17, 25, 3)).astype(np.float32)
    return images, rng.integers(0, 3, (2, 17, 25, 1)).astype(np.uint8)


def test_adam_follows_the_paper_on_one_parameter(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, dropout=0, seed=0)
    solver = Solver(model, SolverSettings(learning_rate=0.01))
    bias = model.parameters["fc8_voc12/b"]
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
    solver = Solver(model, SolverSettings(learning_rate=1e-3))
    images, labels = batch
    labels = np.broadcast_to([[[[2]]], [[[1]]]], labels.shape).astype(np.uint8)
    losses = [float(solver.step(images, labels)) for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]


def test_steps_repeat_with_the_seed_and_not_without(batch):
    def train(seed):
        model = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
        solver = Solver(model, SolverSettings(seed=seed))
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


CAFFES = {"optimizer": "sgd", "weight_decay": 5e-4, "head_lr_mult": 10, "bias_lr_mult": 2}


@pytest.mark.parametrize("lr_policy", ["poly", "step"])
def test_sgd_is_caffes(lr_policy):
    """Six steps of Caffe's SGDSolver: seven losses and the parameters after them."""
    trace = np.load(DATA / "caffe_sgd_trace.npz")
    model = DeepLabLFOVModel(width=NARROW, dropout=0)
    load_weights(model, DATA / "caffe_narrow.caffemodel")
    model.parameters["fc8_voc12/w"].assign(model.parameters["fc8_voc12/w"] * 0.02)
    rates = {"learning_rate": 1e-5, "lr_policy": lr_policy, "num_steps": 6, "step_size": 3}
    solver = Solver(model, SolverSettings(**CAFFES, **rates))
    images, labels = trace["data"].transpose(0, 2, 3, 1), np.full((2, 65, 97, 1), 255, np.uint8)
    labels[:, ::8, ::8, 0] = trace["label"][:, 0]
    losses = [float(solver.step(images, labels)) for _ in range(6)]
    losses.append(float(model.loss(images, labels)))
    np.testing.assert_allclose(losses, trace[f"{lr_policy}/losses"], rtol=1e-5)
    for key in trace.files:
        if key.startswith(f"{lr_policy}/after/"):
            expected, name = trace[key], key.removeprefix(f"{lr_policy}/after/")
            expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected
            atol = 1e-5 * np.ptp(expected)
            np.testing.assert_allclose(model.parameters[name], expected, 0, atol, err_msg=name)


@pytest.mark.parametrize(
    ("flags", "step", "rate"),
    [
        ({"lr_policy": "fixed"}, 19_999, 0.1),
        ({"lr_policy": "step"}, 4_000, 0.001),
        ({"lr_policy": "step", "step_size": 10, "gamma": 0.5}, 29, 0.025),
        ({"lr_policy": "poly", "num_steps": 100}, 50, 0.1 * 0.5**0.9),
        ({"lr_policy": "poly", "num_steps": 100, "power": 2}, 100, 0.0),
        ({"lr_policy": "fixed", "warmup_steps": 4}, 0, 0.025),
        ({"lr_policy": "fixed", "warmup_steps": 4}, 3, 0.1),
        ({"lr_policy": "poly", "num_steps": 100, "warmup_steps": 100}, 50, 0.051 * 0.5**0.9),
    ],
)
def test_rate_policies(flags, step, rate):
    policy = RatePolicy(SolverSettings(learning_rate=0.1, **flags))
    assert float(policy.rate_at(step)) == pytest.approx(rate)


def test_multipliers_and_decay_of_the_recipe():
    solver = Solver(DeepLabLFOVModel(width=NARROW), SolverSettings(**CAFFES))
    assert [group[1:] for group in solver.rate_groups()] == [(1, 5e-4), (2, 0), (10, 5e-4), (20, 0)]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_several_passes_make_the_update_of_the_whole_batch(batch, optimizer):
    """With dropout, and with void shared unevenly among the passes."""
    images, labels = (np.tile(part, (2, 1, 1, 1)) for part in batch)
    labels[:2, 4:] = 255

    def train(iter_size):
        model = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
        rates = {"optimizer": optimizer, "learning_rate": 1e-3, "weight_decay": 5e-4}
        solver = Solver(model, SolverSettings(iter_size=iter_size, **rates))
        return [float(solver.step(images, labels)) for _ in range(3)], model

    (losses, model), (losses_4, model_4) = train(1), train(4)
    np.testing.assert_allclose(losses_4, losses, rtol=1e-5)
    for name, parameter in model.parameters.items():
        np.testing.assert_allclose(model_4.parameters[name], parameter, rtol=1e-3, atol=1e-5)


def test_passes_follow_each_other_to_save_memory():
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, dropout=0, seed=0)
    images, labels = tf.zeros([8, 161, 161, 3]), tf.zeros([8, 161, 161, 1], tf.uint8)

    def peak(iter_size):
        solver = Solver(model, SolverSettings(iter_size=iter_size))
        solver.step(images, labels)
        tf.config.experimental.reset_memory_stats("CPU:0")
        before = tf.config.experimental.get_memory_info("CPU:0")["current"]
        solver.step(images, labels)
        return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before

    try:
        once = peak(1)
    except ValueError:
        pytest.skip("TensorFlow counts no memory on this processor")
    assert peak(8) < once / 4


def test_class_weights_make_a_weighted_mean(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, dropout=0, seed=0)
    images, labels = batch
    only_ones = np.where(labels == 1, labels, 255).astype(np.uint8)
    expected = float(model.loss(images, only_ones))
    solver = Solver(model, class_weights=(0.0, 7.0, 0.0))
    assert float(solver.step(images, labels)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("poison", ["image", "gradient"])
def test_what_is_not_finite_updates_nothing(batch, poison):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, dropout=0, seed=0)
    solver, images = Solver(model), batch[0].copy()
    if poison == "image":
        images[0, 3, 3, 0] = np.nan
    else:
        images *= 1e30  # the loss is finite, the sum of its gradient's squares is not
        model.parameters["conv1_1/w"].assign(model.parameters["conv1_1/w"] * 1e-30)
    before = {name: parameter.numpy() for name, parameter in model.parameters.items()}
    assert np.isnan(solver.step(images, batch[1]))
    assert solver.global_step == 0
    for name, parameter in model.parameters.items():
        np.testing.assert_array_equal(parameter, before[name])
    assert not any(slot.numpy().any() for slot in solver.slots.values())


def test_bfloat16_trains_float32_variables(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, precision="bfloat16", seed=0)
    same = DeepLabLFOVModel(num_classes=3, width=NARROW, seed=0)
    solvers = Solver(model), Solver(same)
    loss, expected = (solver.step(*batch) for solver in solvers)
    assert loss.dtype == model.parameters["fc6/w"].dtype == tf.float32
    assert float(loss) == pytest.approx(float(expected), rel=0.02)


def test_float16_halves_its_loss_scale_on_overflow_and_goes_on(batch):
    model = DeepLabLFOVModel(num_classes=3, width=NARROW, precision="float16", seed=0)
    solver = Solver(model)
    solver.loss_scale.scale.assign(2.0**40)
    before = model.parameters["fc7/w"].numpy()
    assert np.isfinite(solver.step(*batch))
    assert solver.loss_scale.scale == 2.0**39 and solver.global_step == 1
    np.testing.assert_array_equal(model.parameters["fc7/w"], before)
    solver.loss_scale.scale.assign(128.0)
    solver.loss_scale.good_steps.assign(999)
    solver.step(*batch)
    assert solver.loss_scale.scale == 256 and solver.loss_scale.good_steps == 0
    assert np.any(model.parameters["fc7/w"] != before)
    assert {"loss_scale", "loss_scale_steps"} < set(solver.variables)


def test_float16_below_a_scale_of_one_has_diverged(batch):
    solver = Solver(DeepLabLFOVModel(num_classes=3, width=NARROW, precision="float16", seed=0))
    solver.loss_scale.scale.assign(1.0)
    assert np.isnan(solver.step(np.full_like(batch[0], np.nan), batch[1]))
