"""Signs that a network no longer learns from its images, while a run is still young.

Trained filters can die within tens of steps, where a rate is too high for them: their ReLUs give
zero for every image. What is left learns how frequent the classes are, without any other sign.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deeplab_lfov.network.grid import shrink_labels
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.voc import VOID

LAYER = "conv5_3"
LOOKS = (20, 50, 100)
"""Steps, from where a process began, after which to look, beside each save."""

_EARLY, _MOST = 10, 200  # steps whose losses and labels are compared: at LOOKS, and later
_DYING, _DEAD = 0.3, 0.02  # of the channels that answered at the start, and of all


class Health:
    """Compares a network with itself at the start, and its loss with what labels alone give.

    crop: float32 BGR minus the mean [h, w, 3], on which channels are counted; class_weights are
    those of the loss.
    """

    def __init__(
        self, model: DeepLabLFOVModel, crop: tf.Tensor, class_weights: Sequence[float] | None = None
    ):
        self._model, self._crop = model, crop[tf.newaxis]
        self._weights = np.ones(model.num_classes) if class_weights is None else class_weights
        self._losses, self._counts = deque(maxlen=_MOST), deque(maxlen=_MOST)
        self._at_start, self._has_warned = self.answering(), False

    def answering(self) -> float:
        """Return the share of conv5_3's channels that are not zero all over the crop."""
        blob = next(b for name, b in self._model.blobs(self._crop) if name == LAYER)
        return float(tf.reduce_mean(tf.cast(tf.reduce_any(blob > 0, [0, 1, 2]), tf.float32)))

    def add(self, loss: float, labels: tf.Tensor) -> None:
        """Take in the loss of a step and its labels uint8 [N, H, W, 1]."""
        cells = np.asarray(shrink_labels(labels))
        self._losses.append(loss)
        self._counts.append(np.bincount(cells[cells != VOID], minlength=self._model.num_classes))

    def warning(self, step: int) -> str | None:
        """Say, once, that the network dies, or that it has learned the classes' shares alone."""
        seen = len(self._losses)
        steps = slice(-_EARLY if seen <= LOOKS[-1] else None, None)
        loss = np.mean(list(self._losses)[steps])
        guessed = entropy(sum(list(self._counts)[steps]), self._weights)
        if self._has_warned or loss < guessed or not guessed or seen < _EARLY:
            return None
        losses = f"the mean loss {loss:.2f} is no lower than {guessed:.2f}, which the shares of"
        losses += " the classes alone give"
        now = self.answering()
        dies = now < max(_DYING * self._at_start, _DEAD)
        self._has_warned = dies or seen == _MOST
        if dies:
            return (
                f"after step {step} {now:.0%} of {LAYER}'s channels answer, {self._at_start:.0%} "
                f"did at the start, and {losses}: the network dies; begin again with "
                "--warmup_steps 50 or a tenth of the --learning_rate, a VGG-16 from a seed that "
                "util/extract_params.py makes anew"
            )
        if self._has_warned:
            return (
                f"{losses}: nothing of the images has been learned in {step} steps; look at the "
                "masks in the figures, and try another --learning_rate"
            )
        return None


def entropy(counts: np.ndarray, weights: Sequence[float]) -> float:
    """Return the least loss in nats of a network that gives all cells the same probabilities.

    counts: of the labels 0 ... C - 1; weights: of the classes in the loss. 0 without any label.
    """
    weighed = counts * np.asarray(weights)
    shares = weighed[weighed > 0] / weighed.sum()
    return -float((shares * np.log(shares)).sum())
