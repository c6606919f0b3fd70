"""ImageReader: a list of pictures and masks as training batches, or one by one in order."""

import functools
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data import augmentation
from deeplab_lfov.data.augmentation import Draw, Pair
from deeplab_lfov.data.class_files import classes_in
from deeplab_lfov.data.decoding import within_memory
from deeplab_lfov.data.image_files import read_mask, read_picture
from deeplab_lfov.data.list_files import Sample, check_sizes, read_list
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.overlap import ahead
from deeplab_lfov.seeds import order_of, seed_for
from deeplab_lfov.settings import AUGMENT, STRENGTHS
from deeplab_lfov.voc import VOID

AHEAD = 2  # batches that wait in a GPU's memory
Arrays = tuple[np.ndarray, np.ndarray]  # image uint8 RGB [h, w, 3] and labels uint8 [h, w]
Hook = Callable[[np.ndarray, np.ndarray, np.random.Generator], Arrays]


class Batch(NamedTuple):
    """Training samples as the network takes them."""

    images: tf.Tensor  # float32 BGR minus the mean [N, H, W, 3]
    labels: tf.Tensor  # uint8 [N, H, W, 1]
    labelled: tf.Tensor  # float32 [], the share of the labels that are not void


class ImageReader:
    """The pictures and masks that a list file names, `samples`, in the list's order.

    data_dir and data_list as for `list_files.read_list`; num_classes, ignore_label and palette as
    for `read_mask`, but without a palette the data set's folder says (`classes_in`). scale_range
    and the next five are for training batches: augment has strengths by the names of STRENGTHS;
    a share rare_crops holds one of `rare_labels`, if the image does; hook(image, mask, rng) makes
    what it likes of a crop before padding, uint8 RGB [h, w, 3] and uint8 [h, w], 255 void; order_by
    "index_shuffle" orders epochs as earlier versions did, in 256 ways in all. Raises UserError for
    a list that is missing or has missing files, and while reading as `read_mask`.
    """

    def __init__(
        self,
        data_dir: str | Path,
        data_list: str | Path,
        *,
        num_classes: int = 21,
        ignore_label: int | None = None,
        palette: Classes | None = None,
        scale_range: tuple[float, float] = (1.0, 1.0),
        random_mirror: bool = False,
        augment: Mapping[str, float] | None = None,
        rare_crops: float = 0.0,
        hook: Hook | None = None,
        seed: int = 0,
        order_by: str = "philox",
    ):
        self.samples = read_list(data_dir, data_list)
        self.num_classes, self.ignore_label = num_classes, ignore_label
        self.palette = palette or classes_in(data_dir)
        self._given_palette = palette
        self.scale_range, self.random_mirror, self.seed = scale_range, random_mirror, seed
        self._order_by = order_by
        AUGMENT.check("augment", augment or {})
        self.strengths = dict.fromkeys(STRENGTHS, 0.0) | dict(augment or {})
        self.rare_crops, self.rare_labels, self.hook = rare_crops, (), hook
        self._calls_hook = threading.Lock()
        self._failure: UserError | None = None

    @property
    def fingerprint(self) -> str:
        """Number and checksum of the samples' names and the palette: a run knows its data by it.

        Without a palette VOC's stands in, as all runs of version 1.0 had it.
        """
        names = "\n".join(f"{image.name} {mask.name}" for image, mask in self.samples)
        labels = (self._given_palette or VOC).labels_by_color
        palette = bytes([part for color in labels for part in color]) + bytes(labels.values())
        return f"{len(self.samples)} {zlib.crc32(names.encode() + palette):08x}"

    def mask_versions(self) -> list[int]:
        """Return a number for each mask, of its size and when it was written."""
        files = (sample.mask.stat() for sample in self.samples)
        return [zlib.crc32(f"{file.st_size} {file.st_mtime_ns}".encode()) for file in files]

    def batches(
        self,
        batch_size: int,
        input_size: tuple[int, int],
        num_steps: int,
        first_step: int = 0,
        rows: range | None = None,
        device: str | None = None,
    ) -> Iterator[Batch]:
        """Yield the training batches of the steps first_step ... num_steps - 1, or their `rows`.

        Every epoch has its own order; sample n of a run is the same whatever the batch size.
        device: a GPU such as "/GPU:0", to which the next batch is copied during a step.
        """
        rows = rows or range(batch_size)
        numbers = tf.data.Dataset.range(first_step, num_steps).flat_map(
            lambda step: tf.data.Dataset.range(
                step * batch_size + rows.start, step * batch_size + rows.stop
            )
        )
        samples = numbers.map(
            lambda number: self._training_sample(number, input_size), tf.data.AUTOTUNE
        )
        batches = samples.batch(len(rows)).map(_counted)
        if device:
            batches = batches.apply(tf.data.experimental.prefetch_to_device(device, AHEAD))
        else:
            batches = batches.prefetch(tf.data.AUTOTUNE)
        try:
            yield from batches
        except tf.errors.OpError:
            if self._failure:
                raise self._failure from None
            raise

    def pictures(self, limit: int | None = None) -> Iterator[tuple[Sample, np.ndarray, np.ndarray]]:
        """Yield (sample, image uint8 RGB [H, W, 3], labels uint8 [H, W]) in the list's order."""
        samples = self.samples[:limit]
        pixels = ahead(self.read, range(len(samples)))  # tf.data would slow down the network beside
        for sample, (image, labels) in zip(samples, pixels, strict=True):
            yield sample, image, labels

    def files_of_step(self, step: int, batch_size: int) -> list[Path]:
        """List the pictures of the batch of a step, in its order."""
        numbers = range(step * batch_size, (step + 1) * batch_size)
        return [self.samples[int(self._shuffled(number))].image for number in numbers]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode sample `index`: image uint8 RGB [H, W, 3] and labels uint8 [H, W]."""
        image, labels = self._read(self.samples[index])
        with within_memory(self.samples[index].image):
            return np.array(image), labels

    def labels_of(self, mask: Path) -> np.ndarray:
        """Decode a mask to labels uint8 [H, W]; raises UserError as `read_mask` does."""
        return read_mask(mask, self.num_classes, self.ignore_label, self.palette)

    def _training_sample(
        self, number: tf.Tensor, input_size: tuple[int, int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        draw = augmentation.draw(self.seed, number, self.scale_range, self.random_mirror)
        image, labels = tf.numpy_function(
            functools.partial(self._window, input_size),
            [self._shuffled(number), *draw],
            [tf.uint8, tf.uint8],
            stateful=False,  # else --deterministic would read one sample after the other
        )
        image = tf.ensure_shape(image, [None, None, 3])
        labels = tf.ensure_shape(labels, [None, None, 1])
        return augmentation.padded(image, labels, input_size, draw.mirrored)

    def _window(self, input_size: tuple[int, int], index: int, *draw: np.ndarray) -> Arrays:
        """Cut a sample's window: image uint8 RGB [h, w, 3] and labels uint8 [h, w, 1]."""
        try:
            pair = self._read(self.samples[index])
            image, labels = self._augmented(pair, input_size, Draw(*draw))
        except UserError as error:
            self._failure = error  # TensorFlow would hand on no more than its text
            raise
        return image, labels[..., np.newaxis]

    def _augmented(self, pair: Pair, size: tuple[int, int], draw: Draw) -> Arrays:
        seed = self.seed % 2**64, draw.number
        rng = np.random.default_rng(seed)
        rare = self.rare_labels if rng.random() < self.rare_crops else ()
        image, labels = augmentation.augmented(pair, size, draw, self.strengths, rare, rng)
        if not self.hook:
            return np.asarray(image), labels
        with self._calls_hook:  # one at a time, as it may have a state; it has draws of its own
            rng = np.random.default_rng([*seed, 1])
            image, labels = map(np.asarray, self.hook(np.array(image), np.array(labels), rng))
        fits = image.shape == (*labels.shape, 3) and np.all(np.less_equal(labels.shape, size))
        known = (labels < self.num_classes) | (labels == VOID)
        if not fits or {image.dtype, labels.dtype} != {np.dtype("uint8")} or not known.all():
            raise UserError(
                "the hook must return uint8 [h, w, 3] and uint8 [h, w], no larger than a crop, of "
                f"labels below {self.num_classes} or {VOID}; not {image.dtype} {image.shape} and "
                f"{labels.dtype} {labels.shape} with {few(np.unique(labels[~known]))}"
            )
        return image, labels

    def _read(self, sample: Sample) -> tuple[Image.Image, np.ndarray]:
        image, labels = read_picture(sample.image), self.labels_of(sample.mask)
        check_sizes(sample, image.size[::-1], labels.shape)
        return image, labels

    def _shuffled(self, number: tf.Tensor) -> tf.Tensor:
        """Return the index of the run's sample `number`: every epoch has its own permutation."""
        size = len(self.samples)
        if self._order_by == "philox":
            place = lambda n: order_of(self.seed, n // size, size)[n % size]  # noqa: E731
            return tf.numpy_function(place, [number], tf.int64, stateful=False)
        seed = seed_for("order", self.seed, number // size)
        return tf.random.experimental.index_shuffle(number % size, seed, size - 1)


def _counted(images: tf.Tensor, labels: tf.Tensor) -> Batch:
    """Count the labels where they are read, as they may leave for another device."""
    return Batch(images, labels, tf.reduce_mean(tf.cast(labels != VOID, tf.float32)))
