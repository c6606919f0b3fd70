"""Solver: the training step, with the update rules and rate policies of Caffe's solvers."""

from collections.abc import Sequence

import tensorflow as tf

from deeplab_lfov.distributed.replicas import total
from deeplab_lfov.network.loss import total_weight
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.solver.loss_scale import LossScale, NoLossScale
from deeplab_lfov.solver.rate_policy import RatePolicy
from deeplab_lfov.solver.settings import SolverSettings
from deeplab_lfov.solver.update_rules import Adam, Sgd


class Solver:
    """Updates a model's parameters; `variables` by name are, with them, the whole state of a run.

    settings.optimizer "sgd" is Caffe's: v = momentum*v + rate*mult*(g + weight_decay*w), w -= v;
    "adam" is the first TensorFlow version's. weight_decay applies to filters, not to biases; the
    rate, see `RatePolicy`, is multiplied by bias_lr_mult for biases and by head_lr_mult for
    fresh_layers. The model's frozen layers stay as they are. iter_size splits every batch into
    passes that fit the memory, the update being that of the whole. seed decides what is dropped
    out. class_weights, one per class, weigh the cells in the loss.
    """

    def __init__(
        self,
        model: DeepLabLFOVModel,
        settings: SolverSettings = SolverSettings(),
        class_weights: Sequence[float] | None = None,
    ):
        self.model, self.settings, self.rate_policy = model, settings, RatePolicy(settings)
        self.class_weights = class_weights and tf.constant(class_weights, tf.float32)
        self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.loss_scale = LossScale() if model.dtype == tf.float16 else NoLossScale()
        self.rule = Adam() if settings.optimizer == "adam" else Sgd(settings.momentum)
        self.slots = {
            f"{name}/{slot}": tf.Variable(tf.zeros_like(parameter), trainable=False)
            for name, parameter in model.trained_parameters.items()
            for slot in self.rule.slots
        }

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """Slots, `global_step` (the steps done) and, in float16, the state of the loss scale."""
        return self.slots | {"global_step": self.global_step} | self.loss_scale.variables

    def rate_groups(self) -> list[tuple[str, float, float]]:
        """Return (which parameters, rate multiplier, weight decay) of each group of its own."""
        groups, fresh = {}, ", ".join(self.settings.fresh_layers)
        for name in self.model.trained_parameters:
            layer, kind = name.split("/")
            words = f"{fresh} " if layer in self.settings.fresh_layers else ""
            words += "filters" if kind == "w" else "biases"
            groups[words] = words, *self._multiplier_and_decay(name)
        return list(groups.values())

    def _multiplier_and_decay(self, name: str) -> tuple[float, float]:
        (layer, kind), settings = name.split("/"), self.settings
        multiplier = settings.head_lr_mult if layer in settings.fresh_layers else 1.0
        if kind == "b":
            return multiplier * settings.bias_lr_mult, 0.0
        return multiplier, settings.weight_decay

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float32),
            tf.TensorSpec([None, None, None, 1], tf.uint8),
        ]
    )
    def step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Update the parameters on one batch and return its loss before that, float32 [].

        images: float32 BGR minus the mean [N, H, W, 3], N a multiple of iter_size; labels: uint8
        [N, H, W, 1]. Where the loss or a gradient is not finite nan is returned and nothing is
        updated; in float16 the loss scale is halved instead, and the step counts.
        """
        return self.step_of_replica(images, labels, 0, tf.shape(images, tf.int64)[0])

    def step_of_replica(
        self, images: tf.Tensor, labels: tf.Tensor, first_row: tf.Tensor, batch_size: tf.Tensor
    ) -> tf.Tensor:
        """Take a step on each of several replicas, and return the loss of the whole batch.

        images and labels, as for `step`, are the rows of a batch of batch_size from first_row on;
        there are at least iter_size. All replicas make the same update.
        """
        (weight,) = total([total_weight(labels, self.class_weights)])
        first_sample = self.global_step * batch_size + first_row
        loss, gradients = self._in_passes(images, labels, first_sample, weight)
        loss, *gradients = total([loss, *gradients])
        finite = tf.math.is_finite(loss) & tf.math.is_finite(tf.linalg.global_norm(gradients))
        if finite:
            self._update(gradients)
        return self.loss_scale.finish_step(loss, finite, self.global_step)

    def _in_passes(
        self, images: tf.Tensor, labels: tf.Tensor, first_sample: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Add up loss and gradients of iter_size parts of the samples, one after the other."""
        size, passes = tf.shape(images)[0], self.settings.iter_size
        if passes == 1:
            return self._loss_and_gradients(images, labels, first_sample, weight)
        loss = tf.zeros([])
        gradients = [tf.zeros_like(each) for each in self.model.trained_parameters.values()]
        for number in tf.range(passes):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)  # to save memory
            start, end = number * size // passes, (number + 1) * size // passes
            first = first_sample + tf.cast(start, tf.int64)
            more = self._loss_and_gradients(images[start:end], labels[start:end], first, weight)
            loss += more[0]
            gradients = [one + two for one, two in zip(gradients, more[1], strict=True)]
        return loss, gradients

    def _loss_and_gradients(
        self, images: tf.Tensor, labels: tf.Tensor, first_sample: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute the share of some samples in the loss of a batch, and in its gradients."""
        seed = [self.settings.seed, first_sample]
        with tf.GradientTape() as tape:
            loss = self.model.loss(images, labels, True, seed, self.class_weights, weight)
            scaled = loss * self.loss_scale.scale
        gradients = tape.gradient(scaled, list(self.model.trained_parameters.values()))
        return loss, [gradient / self.loss_scale.scale for gradient in gradients]

    def _update(self, gradients: list[tf.Tensor]) -> None:
        step = tf.convert_to_tensor(self.global_step)
        rate = tf.cast(self.rate_policy.rate_at(step), tf.float32)
        for (name, parameter), gradient in zip(
            self.model.trained_parameters.items(), gradients, strict=True
        ):
            multiplier, decay = self._multiplier_and_decay(name)
            if decay:
                gradient += decay * parameter
            slots = [self.slots[f"{name}/{slot}"] for slot in self.rule.slots]
            self.rule.apply(parameter, slots, gradient, rate * multiplier, step)
