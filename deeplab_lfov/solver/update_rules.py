"""The update rules: what a gradient does to a parameter.

Each rule has the names of its slots, the variables that it keeps for every parameter, as
TensorFlow 1 called them in checkpoints. They write into the replica's own copy of a variable.
"""

from collections.abc import Sequence

import tensorflow as tf


class Sgd:
    """Caffe's SGD with momentum: v = momentum*v + rate*gradient, w -= v."""

    slots = ("Momentum",)
    """The velocity."""

    def __init__(self, momentum: float):
        self.momentum = momentum

    def powers(self, step: tf.Tensor) -> tuple[()]:
        """Return what changes from step to step: nothing."""
        return ()

    def apply(
        self,
        parameter: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        powers: tuple[()],
    ) -> None:
        """Update a parameter and its slots."""
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
    """The first and the second moment."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def powers(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return beta1 and beta2 to the power of a step's number, counted from 1, float32 []."""
        done = tf.cast(step + 1, tf.float32)
        return self.beta1**done, self.beta2**done

    def apply(
        self,
        parameter: tf.Variable,
        slots: Sequence[tf.Variable],
        gradient: tf.Tensor,
        rate: tf.Tensor,
        powers: tuple[tf.Tensor, tf.Tensor],
    ) -> None:
        """Update a parameter and its slots, with the `powers` of the step."""
        first, second = slots
        tf.raw_ops.ResourceApplyAdam(
            var=parameter.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def update_rule(optimizer: str, momentum: float) -> Sgd | Adam:
    """Return the rule named "sgd" or "adam"; raises ValueError for another name."""
    if optimizer not in ("sgd", "adam"):
        raise ValueError(f"unknown optimizer {optimizer!r}; there are sgd and adam")
    return Adam() if optimizer == "adam" else Sgd(momentum)


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Set a replica's own copy of a variable; all replicas set the same value."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
