"""The scale of float16's loss, without which small gradients vanish; other types need none."""

import tensorflow as tf

from deeplab_lfov.solver.update_rules import assign

FIRST_SCALE, STEPS_TO_DOUBLE = 2.0**15, 1000


class NoLossScale:
    """The scale of types whose exponent is float32's; a step that is not finite does not count."""

    scale = 1.0
    variables: dict[str, tf.Variable] = {}  # noqa: RUF012 - there are none, ever

    def finish_step(
        self, loss: tf.Tensor, finite: tf.Tensor, global_step: tf.Variable
    ) -> tf.Tensor:
        """Count the step if it was finite, and return its loss, else nan."""
        assign(global_step, global_step + tf.cast(finite, tf.int64))
        return tf.where(finite, loss, float("nan"))


class LossScale:
    """A scale that halves when a gradient overflows, and doubles after 1000 steps without."""

    def __init__(self):
        self.scale = tf.Variable(FIRST_SCALE, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """The state, by its names in a checkpoint."""
        return {"loss_scale": self.scale, "loss_scale_steps": self.good_steps}

    def finish_step(
        self, loss: tf.Tensor, finite: tf.Tensor, global_step: tf.Variable
    ) -> tf.Tensor:
        """Adapt the scale, count the step, and return its loss: nan where the run has diverged."""
        good_steps = tf.where(finite, self.good_steps + 1, 0)
        doubled = good_steps == STEPS_TO_DOUBLE
        factor = tf.where(finite, tf.where(doubled, 2.0, 1.0), 0.5)
        assign(self.scale, self.scale * factor)
        assign(self.good_steps, tf.where(doubled, 0, good_steps))
        assign(global_step, global_step + 1)
        return tf.where(self.scale < 1, float("nan"), loss)
