"""The settings of a solver: its rule, its rates and what they are multiplied by."""

from dataclasses import dataclass

from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.settings import (
    ABOVE_0,
    COUNT,
    NOT_NEGATIVE,
    SHARE_BELOW_1,
    WHOLE,
    Settings,
    one_of,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class SolverSettings(Settings):
    """How a `Solver` updates a network; raises UserError for what no solver can do.

    fresh_layers, which no flag sets, are those that head_lr_mult is for.
    """

    optimizer: str = setting("adam", one_of("adam", "sgd"), "adam, or sgd with momentum")
    learning_rate: float = setting(1e-4, ABOVE_0, "before policy and multipliers")
    lr_policy: str = setting("fixed", one_of("fixed", "step", "poly"), "how the rate falls")
    num_steps: int = setting(20000, COUNT, "updates to train")
    iter_size: int = setting(1, COUNT, "passes in an update, to save memory")
    power: float = setting(0.9, ABOVE_0, "exponent of the policy poly")
    step_size: int = setting(2000, COUNT, "steps until the rate drops, in the policy step")
    gamma: float = setting(0.1, ABOVE_0, "what the rate is multiplied by then")
    warmup_steps: int = setting(0, WHOLE, "steps in which the rate rises from 0")
    momentum: float = setting(0.9, SHARE_BELOW_1, "share of its last update that sgd adds")
    weight_decay: float = setting(0.0, NOT_NEGATIVE, "decay of the filters, times the rate")
    head_lr_mult: float = setting(
        1.0,
        NOT_NEGATIVE,
        "multiplies the rate of the last layer; in finetune, of the random ones too",
    )
    bias_lr_mult: float = setting(1.0, NOT_NEGATIVE, "multiplies the biases' rate")
    seed: int = setting(0, WHOLE, "decides every random draw")
    fresh_layers: tuple[str, ...] = (HEAD,)
