"""How the learning rate falls over the steps of a run (the policies of Caffe's solvers)."""

from dataclasses import dataclass

import tensorflow as tf

POLICIES = ("fixed", "step", "poly")


@dataclass(frozen=True, kw_only=True)
class RatePolicy:
    """A policy by name: "fixed", "step" (times gamma every step_size steps) or "poly".

    "poly" falls to 0 at num_steps, by `power` (arXiv 1606.00915, section 4.1). In the first
    warmup_steps the rate rises to that linearly. Raises ValueError for another name.
    """

    name: str
    learning_rate: float
    num_steps: int
    power: float
    step_size: int
    gamma: float
    warmup_steps: int = 0

    def __post_init__(self):
        if self.name not in POLICIES:
            raise ValueError(f"unknown lr_policy {self.name!r}; there are {', '.join(POLICIES)}")

    def rate_at(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the rate float64 [] of the step with that number, of which the first is 0."""
        step = tf.cast(step, tf.float64)
        rate = self.learning_rate * tf.minimum((step + 1) / max(self.warmup_steps, 1), 1)
        if self.name == "poly":
            left = tf.maximum(1 - step / self.num_steps, 0)
            return rate * left**self.power
        drops = step // self.step_size if self.name == "step" else tf.zeros_like(step)
        return rate * self.gamma**drops

    def __str__(self) -> str:
        words = {
            "fixed": "fixed",
            "step": f"times {self.gamma:g} every {self.step_size} steps",
            "poly": f"falling to 0 at step {self.num_steps}, power {self.power:g}",
        }
        warmup = f"rising for {self.warmup_steps} steps, " if self.warmup_steps else ""
        return f"rate {self.learning_rate:g}, {warmup}{words[self.name]}"
