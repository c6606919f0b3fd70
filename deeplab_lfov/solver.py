"""Solver: the training step, with the update rules and rate policies of Caffe's solvers."""

import tensorflow as tf

from deeplab_lfov.distribution import total
from deeplab_lfov.model import HEAD, DeepLabLFOVModel
from deeplab_lfov.objective import cross_entropy, label_weights, shrink_labels

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's (Kingma and Ba, arXiv 1412.6980)
SLOTS = {"adam": ("Adam", "Adam_1"), "sgd": ("Momentum",)}
"""The names TensorFlow 1 gave the optimizers' slots: first and second moment; velocity."""

FIRST_LOSS_SCALE, STEPS_TO_DOUBLE = 2.0**15, 1000
"""Of float16's loss scale, which halves when a gradient overflows."""


class Solver:
    """Updates a model's parameters; `variables` by name are, with them, the whole state of a run.

    optimizer "sgd" is Caffe's: v = momentum*v + rate*mult*(g + weight_decay*w), w -= v; "adam" is
    the first TensorFlow version's. weight_decay applies to filters, not to biases; the rate is
    multiplied by bias_lr_mult for biases and by head_lr_mult for fc8_voc12. lr_policy is "fixed",
    "step" (times gamma every step_size steps) or "poly" (falls to 0 at num_steps, by `power`).
    iter_size splits every batch into passes that fit the memory, the update being that of the
    whole. class_weights, one per class, weigh the cells in the loss.
    """

    def __init__(
        self,
        model: DeepLabLFOVModel,
        optimizer: str = "adam",
        learning_rate: float = 1e-4,
        lr_policy: str = "fixed",
        num_steps: int = 20000,
        power: float = 0.9,
        step_size: int = 2000,
        gamma: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        head_lr_mult: float = 1.0,
        bias_lr_mult: float = 1.0,
        iter_size: int = 1,
        class_weights: tuple[float, ...] | None = None,
        seed: int = 0,
    ):
        if optimizer not in SLOTS or lr_policy not in ("fixed", "step", "poly"):
            raise ValueError(f"unknown optimizer {optimizer!r} or lr_policy {lr_policy!r}")
        self.model, self.optimizer, self.lr_policy = model, optimizer, lr_policy
        self.learning_rate, self.num_steps, self.power = learning_rate, num_steps, power
        self.step_size, self.gamma, self.momentum = step_size, gamma, momentum
        self.weight_decay, self.iter_size, self.seed = weight_decay, iter_size, seed
        self.head_lr_mult, self.bias_lr_mult = head_lr_mult, bias_lr_mult
        self.weights = class_weights and list(class_weights)
        self.class_weights = class_weights and tf.constant(class_weights, tf.float32)
        self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.loss_scale = tf.Variable(FIRST_LOSS_SCALE, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)
        self.slots = {
            f"{name}/{slot}": tf.Variable(tf.zeros_like(parameter), trainable=False)
            for name, parameter in model.parameters.items()
            for slot in SLOTS[optimizer]
        }

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """Slots, `global_step` (the steps done) and, in float16, the state of the loss scale."""
        scale = {"loss_scale": self.loss_scale, "loss_scale_steps": self.good_steps}
        scale = scale if self._scales_loss else {}
        return self.slots | {"global_step": self.global_step} | scale

    def learning_rate_at(self, step: int | tf.Tensor) -> tf.Tensor:
        """The rate float64 [] of the step with that number (the first is 0), before multipliers."""
        step = tf.cast(step, tf.float64)
        if self.lr_policy == "poly":
            left = tf.maximum(1 - step / self.num_steps, 0)
            return self.learning_rate * left**self.power
        drops = step // self.step_size if self.lr_policy == "step" else tf.zeros_like(step)
        return self.learning_rate * self.gamma**drops

    def describe_rate(self) -> str:
        """The rate policy in words."""
        policy = {
            "fixed": "fixed",
            "step": f"times {self.gamma:g} every {self.step_size} steps",
            "poly": f"falling to 0 at step {self.num_steps}, power {self.power:g}",
        }
        return f"rate {self.learning_rate:g}, {policy[self.lr_policy]}"

    def rate_groups(self) -> list[tuple[str, float, float]]:
        """(which parameters, rate multiplier, weight decay) of each group that has its own."""
        groups = {
            "filters": "conv1_1/w",
            "biases": "conv1_1/b",
            f"{HEAD} filters": f"{HEAD}/w",
            f"{HEAD} biases": f"{HEAD}/b",
        }
        return [
            (words, self.rate_multiplier(name), self.decay_of(name))
            for words, name in groups.items()
        ]

    def rate_multiplier(self, name: str) -> float:
        """What the rate is multiplied by for a parameter such as `fc8_voc12/b`."""
        layer, kind = name.split("/")
        of_layer = self.head_lr_mult if layer == HEAD else 1.0
        return of_layer * (self.bias_lr_mult if kind == "b" else 1.0)

    def decay_of(self, name: str) -> float:
        """The weight decay of a parameter: filters have it, biases do not."""
        return self.weight_decay if name.endswith("/w") else 0.0

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
        everything = tf.shape(images, tf.int64)[0]
        return self.step_of_replica(images, labels, 0, tf.zeros(0), everything)[0]

    def step_of_replica(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        first_row: tf.Tensor,
        notes: tf.Tensor,
        batch_size: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The step on each of several replicas: (the global batch's loss, the sum of all notes).

        images and labels, as for `step`, are the rows of a global batch of batch_size from
        first_row on; there are at least iter_size. All replicas make the same update.
        """
        labels = shrink_labels(labels)
        weight, notes = total([tf.reduce_sum(label_weights(labels, self.class_weights)), notes])
        first = self.global_step * batch_size + first_row
        loss, gradients = self._gradients(images, labels, first, weight)
        loss, *gradients = total([loss, *gradients])
        finite = tf.math.is_finite(loss) & tf.math.is_finite(tf.linalg.global_norm(gradients))
        if finite:
            self._update(gradients)
        if self._scales_loss:
            return self._after_scaled(loss, finite), notes
        _assign(self.global_step, self.global_step + tf.cast(finite, tf.int64))
        return tf.where(finite, loss, float("nan")), notes

    @property
    def _scales_loss(self) -> bool:
        return self.model.precision == tf.float16

    def _gradients(
        self, images: tf.Tensor, labels: tf.Tensor, first: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The share of these samples in loss and gradients, in iter_size passes."""
        if self.iter_size == 1:
            return self._pass(images, labels, first, weight)
        size = tf.shape(images)[0]
        loss = tf.zeros([])
        gradients = [tf.zeros_like(parameter) for parameter in self.model.parameters.values()]
        for number in tf.range(self.iter_size):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)  # to save memory
            start, end = number * size // self.iter_size, (number + 1) * size // self.iter_size
            first_row = first + tf.cast(start, tf.int64)
            more = self._pass(images[start:end], labels[start:end], first_row, weight)
            loss += more[0]
            gradients = [one + two for one, two in zip(gradients, more[1], strict=True)]
        return loss, gradients

    def _pass(
        self, images: tf.Tensor, labels: tf.Tensor, first_sample: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        parameters = list(self.model.parameters.values())
        with tf.GradientTape() as tape:
            scores = self.model.scores(images, True, [self.seed, first_sample])
            loss = cross_entropy(scores, labels, self.class_weights)
            loss = tf.math.divide_no_nan(loss, weight)
            scaled = loss * self.loss_scale if self._scales_loss else loss
        gradients = tape.gradient(scaled, parameters)
        if self._scales_loss:
            gradients = [gradient / self.loss_scale for gradient in gradients]
        return loss, gradients

    def _update(self, gradients: list[tf.Tensor]) -> None:
        rate = tf.cast(self.learning_rate_at(self.global_step), tf.float32)
        for (name, parameter), gradient in zip(
            self.model.parameters.items(), gradients, strict=True
        ):
            if self.decay_of(name):
                gradient += self.decay_of(name) * parameter
            rule = self._adam if self.optimizer == "adam" else self._sgd
            rule(name, parameter, gradient, rate * self.rate_multiplier(name))

    def _adam(
        self, name: str, parameter: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor
    ) -> None:
        step = tf.cast(self.global_step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=parameter.handle,
            m=self.slots[f"{name}/Adam"].handle,
            v=self.slots[f"{name}/Adam_1"].handle,
            beta1_power=BETA1**step,
            beta2_power=BETA2**step,
            lr=rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )

    def _sgd(self, name: str, parameter: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(  # its velocity is the negative of Caffe's
            var=parameter.handle,
            accum=self.slots[f"{name}/Momentum"].handle,
            lr=rate,
            grad=gradient,
            momentum=self.momentum,
        )

    def _after_scaled(self, loss: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        """Adapt float16's loss scale; a scale below 1 means the run itself has diverged."""
        good_steps = tf.where(finite, self.good_steps + 1, 0)
        doubled = good_steps == STEPS_TO_DOUBLE
        factor = tf.where(finite, tf.where(doubled, 2.0, 1.0), 0.5)
        _assign(self.loss_scale, self.loss_scale * factor)
        _assign(self.good_steps, tf.where(doubled, 0, good_steps))
        _assign(self.global_step, self.global_step + 1)
        return tf.where(self.loss_scale < 1, float("nan"), loss)


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Set a replica's own copy; all replicas set the same."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
