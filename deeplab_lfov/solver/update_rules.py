"""The update rules: what a gradient does to a parameter.

Each rule has the names of its slots, the variables that it keeps for every parameter, as
TensorFlow 1 called them in checkpoints. They write into the replica's own copy of a variable.
"""

from collections.abc import Sequence

import tensorflow as tf


class Sgd:
    """Caffe's SGD with momentum: v = momentum*v + rate*gradient, w -= v."""

    slots = ("Momentum",)

    def __init__(self, momentum: float):
        self.momentum = momentum

    def apply(
        self,
        parameter: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        step: tf.Tensor,
    ) -> None:
        """Update a parameter and its slots; the first step is 0."""
        (velocity,) = slots
        tf.raw_ops.ResourceApplyKerasMomentum(  # its velocity is the negative of Caffe's
            var=parameter.handle,
            accum=velocity.handle,
            lr=rate,
            grad=gradient,
            momentum=self.momentum,
        )


class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980) with the constants of the paper."""

    slots = ("Adam", "Adam_1")

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def apply(
        self,
        parameter: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        step: tf.Tensor,
    ) -> None:
        """Update a parameter and its slots; the first step is 0."""
        (first, second), done = slots, tf.cast(step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=parameter.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=self.beta1**done,
            beta2_power=self.beta2**done,
            lr=rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Set a replica's own copy of a variable; all replicas set the same value."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
