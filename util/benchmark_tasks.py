"""What util/benchmark.py times: calls by name for each task, which return how many images they did.

Of several calls the first is ours and the others are what it is compared with.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from deeplab_lfov.data.image_files import read_image, write_mask, write_png
from util.benchmark_inputs import (
    draw_data_set,
    jpegs,
    make_predictor,
    picture,
    unsure_probabilities,
    write_checkpoint,
)

if TYPE_CHECKING:
    from deeplab_lfov.inference.segmentation import Segmentation

ROOT = Path(__file__).resolve().parents[1]
Calls = dict[str, Callable[[], int]]
SEVERAL = 6
"""Pictures that `end_to_end` gives to one command."""
SIZES = 10
"""Pictures that `sizes` takes, each of its own size."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The flags of benchmark.py by name; None stands for what the task takes by itself."""

    task: str
    input_size: tuple[int, int] | None = None
    batch_size: int | None = None
    precision: str = "float32"
    width: float = 1.0
    repeats: int = 7
    data_dir: str | None = None
    peer: list[str] | None = None
    peers: list[tuple[str, list[str]]] | None = None
    plot: str | None = None
    turns: int = 3


def infer(settings: Settings, folder: Path) -> Calls:
    """Return the call that takes pictures in and gives masks out."""
    predictor = make_predictor(settings.width, settings.precision, folder)
    images = [picture(settings.input_size, seed) for seed in range(settings.batch_size)]
    return {"infer": lambda: len([predictor(image) for image in images])}


def sizes(settings: Settings, folder: Path) -> Calls:
    """Return calls for ten pictures of ten sizes, those of before, and such as never came before.

    On a GPU a new size may cost more than its pixels.
    """
    predictor = make_predictor(settings.width, settings.precision, folder)
    height, width = settings.input_size
    again, *fresh = (
        [picture((height + 8 * n, width + 8 * turn), n) for n in range(SIZES)]
        for turn in range(settings.repeats + 2)  # the first of which is not timed
    )
    turns = iter(fresh)
    return {
        "sizes": lambda: len([predictor(image) for image in again]),
        "new": lambda: len([predictor(image) for image in next(turns)]),
    }


def transfer(settings: Settings, folder: Path) -> Calls:
    """Return the call that copies a training batch to the device and waits until it is there."""
    import tensorflow as tf

    images = np.zeros((settings.batch_size, *settings.input_size, 3), np.float32)

    def copy() -> int:
        tf.constant(images)[-1, -1, -1, -1].numpy()
        return settings.batch_size

    return {"transfer": copy}


def train(settings: Settings, folder: Path) -> Calls:
    """Return the call that takes a step of Adam."""
    import tensorflow as tf

    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.solver.solver import Solver

    model = DeepLabLFOVModel(width=settings.width, precision=settings.precision, seed=0)
    solver = Solver(model)
    shape = (settings.batch_size, *settings.input_size)
    images = tf.random.stateless_normal([*shape, 3], [0, 1], stddev=50.0)
    labels = tf.random.stateless_uniform([*shape, 1], [0, 2], 0, 21, tf.int32)
    labels = tf.cast(labels, tf.uint8)

    def step() -> int:
        float(solver.step(images, labels))
        return settings.batch_size

    return {"train": step}


def convolutions(settings: Settings, folder: Path) -> Calls:
    """Return calls that compute the network's scores with and without Winograd's algorithm."""
    import tensorflow as tf

    from deeplab_lfov.network.engine import Convolutions
    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.preprocess import network_input

    model = DeepLabLFOVModel(width=settings.width, precision=settings.precision, seed=0)
    images = np.stack([picture(settings.input_size, seed) for seed in range(settings.batch_size)])
    images = network_input(images)

    def scores(convolutions: Convolutions) -> Callable[[], int]:
        def compute(images: tf.Tensor) -> tf.Tensor:
            return model.scores(images, convolutions=convolutions)

        graph = tf.function(compute).get_concrete_function(images)
        return lambda: len(graph(images).numpy())

    fastest = Convolutions(model.parameters, model.dtype)
    return {"convolutions": scores(fastest), "plain": scores(model.plain_convolutions())}


def reader(settings: Settings, folder: Path) -> Calls:
    """Return calls that read scaled, cropped, mirrored samples, or only decode their pictures."""
    import tensorflow as tf

    from deeplab_lfov.data.image_reader import ImageReader

    data_dir, list_file = Path(settings.data_dir or draw_data_set(folder)), folder / "list.txt"
    list_file.write_text("\n".join(image.stem for image in jpegs(data_dir)))
    samples = ImageReader(data_dir, list_file, scale_range=(0.75, 1.25), random_mirror=True)
    steps = -(-max(len(samples.samples), 400) // settings.batch_size)  # many: the first takes 0.1 s
    num_images = steps * settings.batch_size
    paths = [str(samples.samples[n % len(samples.samples)].image) for n in range(num_images)]

    def read() -> int:
        batches = samples.batches(settings.batch_size, settings.input_size, steps)
        return settings.batch_size * sum(1 for _ in batches)

    def decode() -> int:
        pictures = tf.data.Dataset.from_tensor_slices(paths)
        pictures = pictures.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path)), tf.data.AUTOTUNE
        )
        return sum(1 for _ in pictures.prefetch(tf.data.AUTOTUNE))

    return {"reader": read, "decoding": decode}


def evaluation(settings: Settings, folder: Path) -> Calls:
    """Return calls for evaluate.py's work, with metric and saved masks, and for its network only.

    The network is loaded before.
    """
    from deeplab_lfov.data.image_reader import ImageReader
    from deeplab_lfov.evaluation.metrics import ConfusionMatrix
    from deeplab_lfov.overlap import overlapped

    predictor = make_predictor(settings.width, settings.precision, folder)
    draw_data_set(folder, 20, settings.input_size)
    list_file = folder / "list.txt"
    list_file.write_text("\n".join(f"{seed:03}" for seed in range(20)))
    samples = ImageReader(folder, list_file)
    images = [image for _, image, _ in samples.pictures()]

    def evaluate() -> int:
        matrix = ConfusionMatrix(predictor.class_names)

        def begin(picture: tuple) -> Segmentation:
            _, image, _ = picture
            return predictor.segment(image)

        def finish(picture: tuple, segmentation: Segmentation) -> None:
            (sample, _, truth), labels = picture, segmentation.labels()
            matrix.update(truth, labels)
            write_mask(folder / f"{sample.name}_mask.png", labels)

        return len([each.result() for each in overlapped(samples.pictures(), begin, finish)])

    return {
        "evaluation": evaluate,
        "network": lambda: len([predictor.segment(image) for image in images]),
    }


def crf(settings: Settings, folder: Path) -> Calls:
    """Return calls of the dense CRF, and of PyPI's pydensecrf2 if it is installed."""
    from deeplab_lfov.crf.dense_crf import DenseCRF

    if settings.data_dir:
        files = jpegs(Path(settings.data_dir))[: settings.batch_size]
        images = [read_image(file) for file in files]
    else:
        images = [picture(settings.input_size, seed) for seed in range(settings.batch_size)]
    pairs = [(image, unsure_probabilities(image.shape[:2], n)) for n, image in enumerate(images)]
    ours = DenseCRF()
    calls = {"crf": lambda: len([ours(*pair) for pair in pairs])}
    if importlib.util.find_spec("pydensecrf"):
        same = np.concatenate(
            [(ours(*p).argmax(-1) == pydensecrf2(*p).argmax(-1)).ravel() for p in pairs]
        )
        print(f"labels that agree with pydensecrf2's: {same.mean():.4%} of {same.size} pixels")
        calls["pydensecrf2"] = lambda: len([pydensecrf2(*pair) for pair in pairs])
    return calls


def pydensecrf2(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Refine probabilities by PyPI's pydensecrf2 with the defaults of `crf.DenseCRF`."""
    import pydensecrf.densecrf as densecrf
    from pydensecrf.utils import unary_from_softmax

    height, width, num_classes = probabilities.shape
    kinds = {"kernel": densecrf.DIAG_KERNEL, "normalization": densecrf.NORMALIZE_SYMMETRIC}
    crf = densecrf.DenseCRF2D(width, height, num_classes)
    unary = unary_from_softmax(probabilities.transpose(2, 0, 1))
    crf.setUnaryEnergy(np.ascontiguousarray(unary))
    crf.addPairwiseGaussian(sxy=3, compat=3, **kinds)
    crf.addPairwiseBilateral(sxy=121, srgb=5, rgbim=np.array(image), compat=4, **kinds)
    refined = np.array(crf.inference(10), np.float32)
    return refined.reshape(num_classes, height, width).transpose(1, 2, 0)


def end_to_end(settings: Settings, folder: Path) -> Calls:
    """Return calls of commands: inference.py on one and on several pictures; TensorFlow's start."""
    ckpt = write_checkpoint(settings.width, settings.precision, folder)
    names = [folder / f"{seed}.png" for seed in range(SEVERAL)]
    for seed, name in enumerate(names):
        write_png(name, Image.fromarray(picture(settings.input_size, seed)))
    program = [sys.executable, ROOT / "inference.py"]
    output = [ckpt, "--save_dir", folder / "output", "--precision", settings.precision]
    imports = "from deeplab_lfov.startup import start_tensorflow; start_tensorflow()"
    return {
        "end_to_end": lambda: _call([*program, names[0], *output]),
        "several": lambda: SEVERAL * _call([*program, *names, *output]),
        "import": lambda: _call([sys.executable, "-c", imports]),
    }


def own_seconds(one: float, several: float, imports: float) -> float:
    """Return the seconds of inference.py on one picture without network and TensorFlow's import.

    Of the seconds per image of the calls of `end_to_end`: what a further picture adds is the
    network's own time, so the rest of the first is the start.
    """
    network = (SEVERAL * several - one) / (SEVERAL - 1)
    return one - network - imports


def _call(command: list) -> int:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return 1


class Task(NamedTuple):
    """A task: what is timed, and its sizes where the command line gives none."""

    calls: Callable[[Settings, Path], Calls]
    input_size: tuple[int, int]
    batch_size: int = 1
    unused: tuple[str, ...] = ()
    """The flags that it has no use for."""


TASKS = {
    "infer": Task(infer, (377, 505), unused=("data_dir",)),
    "train": Task(train, (321, 321), batch_size=2, unused=("data_dir",)),
    "sizes": Task(sizes, (305, 505), unused=("batch_size", "data_dir")),
    "transfer": Task(
        transfer, (321, 321), batch_size=10, unused=("precision", "width", "data_dir")
    ),
    "convolutions": Task(convolutions, (377, 505), unused=("data_dir",)),
    "reader": Task(reader, (321, 321), batch_size=10, unused=("precision", "width")),
    "evaluation": Task(evaluation, (375, 500), unused=("batch_size", "data_dir")),
    "crf": Task(crf, (375, 500), unused=("precision", "width")),
    "end_to_end": Task(end_to_end, (375, 500), unused=("batch_size", "data_dir")),
}
