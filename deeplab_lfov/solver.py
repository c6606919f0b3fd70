"""Solver: the training step."""

import tensorflow as tf

from deeplab_lfov.model import DeepLabLFOVModel

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Solver:
    """Adam (Kingma and Ba, arXiv 1412.6980) as in the first TensorFlow version.

    `global_step` counts the steps done and `slots` holds the moments by the names that TensorFlow
    1 gave them, `conv1_1/w/Adam` and `conv1_1/w/Adam_1`: with the parameters, all of a run's state.
    """

    def __init__(self, model: DeepLabLFOVModel, learning_rate: float = 1e-4, seed: int = 0):
        self.model, self.learning_rate, self.seed = model, learning_rate, seed
        self.global_step = tf.Variable(0, dtype=tf.int64, name="global_step", trainable=False)
        self.slots = {
            f"{name}/{slot}": tf.Variable(tf.zeros_like(parameter), trainable=False)
            for name, parameter in model.parameters.items()
            for slot in ("Adam", "Adam_1")
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float32),
            tf.TensorSpec([None, None, None, 1], tf.uint8),
        ]
    )
    def step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Update the parameters on one batch and return its loss before that, float32 [].

        images: float32 BGR minus the mean [N, H, W, 3]; labels: uint8 [N, H, W, 1].
        """
        first_sample = self.global_step * tf.shape(images, tf.int64)[0]
        parameters = list(self.model.parameters.values())
        with tf.GradientTape() as tape:
            loss = self.model.loss(images, labels, True, [self.seed, first_sample])
        gradients = tape.gradient(loss, parameters)
        self.global_step.assign_add(1)
        for name, gradient in zip(self.model.parameters, gradients, strict=True):
            self._update(name, gradient)
        return loss

    def _update(self, name: str, gradient: tf.Tensor) -> None:
        step = tf.cast(self.global_step, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=self.model.parameters[name].handle,
            m=self.slots[f"{name}/Adam"].handle,
            v=self.slots[f"{name}/Adam_1"].handle,
            beta1_power=BETA1**step,
            beta2_power=BETA2**step,
            lr=self.learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )
