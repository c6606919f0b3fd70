"""What util/benchmark.py times: calls by name for each task, which return how many images they did.

Of several calls the first is ours and the others are what it is compared with.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import deeplab_lfov as lfov

ROOT = Path(__file__).resolve().parents[1]
Calls = dict[str, Callable[[], int]]
SEVERAL = 6
"""Pictures that `end_to_end` gives to one command."""


def infer(args: argparse.Namespace, folder: Path) -> Calls:
    """Pictures in, masks out."""
    predictor = _predictor(args, folder)
    images = [picture(args.input_size, seed) for seed in range(args.batch_size)]
    return {"infer": lambda: len([predictor(image) for image in images])}


def train(args: argparse.Namespace, folder: Path) -> Calls:
    """A step of Adam."""
    import tensorflow as tf

    model = lfov.DeepLabLFOVModel(width=args.width, precision=args.precision, seed=0)
    solver = lfov.Solver(model)
    shape = (args.batch_size, *args.input_size)
    images = tf.random.stateless_normal([*shape, 3], [0, 1], stddev=50.0)
    labels = tf.random.stateless_uniform([*shape, 1], [0, 2], 0, 21, tf.int32)
    labels = tf.cast(labels, tf.uint8)

    def step() -> int:
        float(solver.step(images, labels))
        return args.batch_size

    return {"train": step}


def convolutions(args: argparse.Namespace, folder: Path) -> Calls:
    """The scores of the network, and of the same network without Winograd's algorithm."""
    import tensorflow as tf

    model = lfov.DeepLabLFOVModel(width=args.width, precision=args.precision, seed=0)
    images = np.stack([picture(args.input_size, seed) for seed in range(args.batch_size)])
    images = lfov.transforms.network_input(images)

    def scores(model: lfov.DeepLabLFOVModel) -> Callable[[], int]:
        graph = tf.function(model.scores).get_concrete_function(images)
        return lambda: len(graph(images).numpy())

    return {"convolutions": scores(model), "plain": scores(model.as_portable())}


def reader(args: argparse.Namespace, folder: Path) -> Calls:
    """Training samples, scaled, cropped and mirrored; and merely decoding their pictures."""
    import tensorflow as tf

    data_dir, list_file = Path(args.data_dir or _drawn_data_set(folder)), folder / "list.txt"
    list_file.write_text("\n".join(image.stem for image in _jpegs(data_dir)))
    samples = lfov.ImageReader(data_dir, list_file, scale_range=(0.75, 1.25), random_mirror=True)
    steps = -(-max(len(samples.samples), 400) // args.batch_size)  # many: the first takes 0.1 s
    num_images = steps * args.batch_size
    paths = [str(samples.samples[n % len(samples.samples)].image) for n in range(num_images)]

    def read() -> int:
        batches = samples.batches(args.batch_size, args.input_size, steps)
        return args.batch_size * sum(1 for _ in batches)

    def decode() -> int:
        pictures = tf.data.Dataset.from_tensor_slices(paths)
        pictures = pictures.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path)), tf.data.AUTOTUNE
        )
        return sum(1 for _ in pictures.prefetch(tf.data.AUTOTUNE))

    return {"reader": read, "decoding": decode}


def evaluation(args: argparse.Namespace, folder: Path) -> Calls:
    """evaluate.py with metric and saved masks, its network loaded; and the network alone."""
    predictor = _predictor(args, folder)
    _drawn_data_set(folder, 20, args.input_size)
    list_file = folder / "list.txt"
    list_file.write_text("\n".join(f"{seed:03}" for seed in range(20)))
    samples = lfov.ImageReader(folder, list_file)
    images = [image for _, image, _ in samples.pictures()]

    def evaluate() -> int:
        matrix = lfov.ConfusionMatrix(predictor.class_names)

        def finish(sample, truth, segmentation) -> None:
            labels = segmentation.labels()
            matrix.update(truth, labels)
            lfov.pictures.write_mask(folder / f"{sample.name}_mask.png", labels)

        calls = (
            functools.partial(finish, sample, truth, predictor.segment(image))
            for sample, image, truth in samples.pictures()
        )
        return sum(1 for _ in lfov.pipeline.one_behind(calls))

    return {
        "evaluation": evaluate,
        "network": lambda: len([predictor.segment(image) for image in images]),
    }


def crf(args: argparse.Namespace, folder: Path) -> Calls:
    """The dense CRF, and PyPI's pydensecrf2 if it is installed."""
    if args.data_dir:
        files = _jpegs(Path(args.data_dir))[: args.batch_size]
        images = [lfov.pictures.read_image(file) for file in files]
    else:
        images = [picture(args.input_size, seed) for seed in range(args.batch_size)]
    pairs = [(image, _probabilities(image.shape[:2], n)) for n, image in enumerate(images)]
    ours = lfov.crf.DenseCRF()
    calls = {"crf": lambda: len([ours(*pair) for pair in pairs])}
    if importlib.util.find_spec("pydensecrf"):
        same = np.concatenate(
            [(ours(*p).argmax(-1) == pydensecrf2(*p).argmax(-1)).ravel() for p in pairs]
        )
        print(f"labels that agree with pydensecrf2's: {same.mean():.4%} of {same.size} pixels")
        calls["pydensecrf2"] = lambda: len([pydensecrf2(*pair) for pair in pairs])
    return calls


def pydensecrf2(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What PyPI's pydensecrf2 makes of the arguments of `crf.DenseCRF`, at its defaults."""
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


def end_to_end(args: argparse.Namespace, folder: Path) -> Calls:
    """inference.py on one picture, on several, and the import of TensorFlow, as commands."""
    ckpt, names = _checkpoint(args, folder), [folder / f"{seed}.png" for seed in range(SEVERAL)]
    for seed, name in enumerate(names):
        lfov.pictures.write_png(name, Image.fromarray(picture(args.input_size, seed)))
    program = [sys.executable, ROOT / "inference.py"]
    output = [ckpt, "--save_dir", folder / "output", "--precision", args.precision]
    imports = "from deeplab_lfov import cli; cli.start_tensorflow()"
    return {
        "end_to_end": lambda: _call([*program, names[0], *output]),
        "several": lambda: SEVERAL * _call([*program, *names, *output]),
        "import": lambda: _call([sys.executable, "-c", imports]),
    }


def own_seconds(one: float, several: float, imports: float) -> float:
    """What inference.py takes for one picture beside the network and the import of TensorFlow.

    Of the seconds per image of the calls of `end_to_end`: what a further picture adds is the
    network's own time, so the rest of the first is the start.
    """
    network = (SEVERAL * several - one) / (SEVERAL - 1)
    return one - network - imports


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth colors under a little noise, as a photograph has them: uint8 RGB [H, W, 3]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 14, 3), np.uint8)).resize(size[::-1])
    return (np.asarray(coarse) * 0.9 + rng.normal(12, 4, (*size, 3))).clip(0, 255).astype(np.uint8)


def _predictor(args: argparse.Namespace, folder: Path) -> lfov.Predictor:
    return lfov.Predictor(_checkpoint(args, folder), precision=args.precision)


def _checkpoint(args: argparse.Namespace, folder: Path) -> Path:
    """Random weights."""
    path = folder / "model.ckpt-0"
    lfov.checkpoints.export_weights(lfov.DeepLabLFOVModel(width=args.width, seed=0), path)
    return path


def _call(command: list) -> int:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return 1


def _probabilities(size: tuple[int, int], seed: int) -> np.ndarray:
    """As a network gives them: smooth between every 8th pixel, unsure of 21 classes."""
    rng = np.random.default_rng(seed)
    cells = [-(-(pixels - 1) // 8) + 1 for pixels in size]
    scores = lfov.segmentation.Segmentation(
        np.zeros((*size, 3), np.uint8),
        [lfov.segmentation.View()],
        [rng.normal(0, 2, (*cells, 21)).astype(np.float32)],
    )
    return scores.probabilities()


def _jpegs(data_dir: Path) -> list[Path]:
    found = sorted((data_dir / "JPEGImages").glob("*.jpg"))
    if not found:
        raise lfov.UserError(f"there is no picture JPEGImages/*.jpg in --data_dir {data_dir}")
    return found


def _drawn_data_set(
    folder: Path, num_images: int = 100, size: tuple[int, int] = (375, 500)
) -> Path:
    """Pictures of VOC's usual size with masks of one class each."""
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir()
    for seed in range(num_images):
        image = Image.fromarray(picture(size, seed))
        image.save(folder / f"JPEGImages/{seed:03}.jpg", quality=90)
        mask = np.full(size, seed % 21, np.uint8)
        lfov.pictures.write_mask(folder / f"SegmentationClass/{seed:03}.png", mask)
    return folder


class Task(NamedTuple):
    """What is timed, and what it takes where the command line does not say."""

    calls: Callable[[argparse.Namespace, Path], Calls]
    input_size: tuple[int, int]
    batch_size: int = 1
    unused: tuple[str, ...] = ()
    """The flags that it has no use for."""


TASKS = {
    "infer": Task(infer, (377, 505), unused=("data_dir",)),
    "train": Task(train, (321, 321), batch_size=2, unused=("data_dir",)),
    "convolutions": Task(convolutions, (377, 505), unused=("data_dir",)),
    "reader": Task(reader, (321, 321), batch_size=10, unused=("precision", "width")),
    "evaluation": Task(evaluation, (375, 500), unused=("batch_size", "data_dir")),
    "crf": Task(crf, (375, 500), unused=("precision", "width")),
    "end_to_end": Task(end_to_end, (375, 500), unused=("batch_size", "data_dir")),
}
