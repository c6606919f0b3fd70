"""How the learning rate falls over the steps of a run (the policies of Caffe's solvers)."""

import tensorflow as tf

from deeplab_lfov.solver.settings import SolverSettings


class RatePolicy:
    """The policy that settings name: "fixed", "step" (times gamma every step_size) or "poly".

    "poly" falls to 0 at num_steps, by `power` (arXiv 1606.00915, section 4.1). In the first
    warmup_steps the rate rises to that linearly.
    """

    def __init__(self, settings: SolverSettings):
        self.settings = settings

    def rate_at(self, step: int | tf.Tensor) -> tf.Tensor:
        """Return the rate float64 [] of the step with that number, of which the first is 0."""
        settings, step = self.settings, tf.cast(step, tf.float64)
        rate = settings.learning_rate * tf.minimum((step + 1) / max(settings.warmup_steps, 1), 1)
        if settings.lr_policy == "poly":
            return rate * tf.maximum(1 - step / settings.num_steps, 0) ** settings.power
        drops = step // settings.step_size if settings.lr_policy == "step" else tf.zeros_like(step)
        return rate * settings.gamma**drops

    def __str__(self) -> str:
        settings = self.settings
        words = {
            "fixed": "fixed",
            "step": f"times {settings.gamma:g} every {settings.step_size} steps",
            "poly": f"falling to 0 at step {settings.num_steps}, power {settings.power:g}",
        }
        warmup = f"rising for {settings.warmup_steps} steps, " if settings.warmup_steps else ""
        return f"rate {settings.learning_rate:g}, {warmup}{words[settings.lr_policy]}"
