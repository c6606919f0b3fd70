#!/usr/bin/env python3
"""Measure speed and memory: the last line is one JSON object, seconds per image and what they are.

Tasks: infer (picture in, mask out), train (a step), reader (training samples, against merely
decoding the pictures), crf (against pydensecrf2 if it is installed), end_to_end (inference.py as a
command, less its imports and its network). Two things that are compared take turns in one run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import deeplab_lfov as lfov  # noqa: E402
from deeplab_lfov import cli, flags  # noqa: E402

SIZES = {"infer": (377, 505), "train": (321, 321), "reader": (321, 321)}
SIZES |= {"crf": (375, 500), "end_to_end": (375, 500)}
"""Heights and widths of VOC's pictures and of the recipes' crops."""


def parser() -> cli.Parser:
    """The flags of benchmark.py."""
    p = cli.Parser("Measure speed and memory; the last line is one JSON object.")
    p.add_argument("task", choices=tuple(SIZES))
    p.add_argument("--input_size", type=flags.SIZE, help="height,width; default: as in the paper")
    p.add_argument("--batch_size", type=flags.COUNT, help="default: 2 in training, else 1")
    p.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--width", type=flags.WIDTH, default=1.0, help="share of VGG-16's channels")
    p.add_argument("--repeats", type=flags.COUNT, default=7, help="timed repetitions")
    p.add_argument(
        "--data_dir", type=flags.PATH, help="folder of pictures for reader and crf; default: drawn"
    )
    p.add_argument(
        "--peer",
        metavar="COMMAND",
        help="another command that prints such a line; runs in turns with this one",
    )
    p.add_argument("--turns", type=flags.COUNT, default=3, help="of each with --peer")
    return p


def main(args: argparse.Namespace) -> None:
    """One measurement, or turns of this one and the peer's."""
    args.input_size = args.input_size or SIZES[args.task]
    args.batch_size = args.batch_size or (2 if args.task == "train" else 1)
    result = _against_peer(args) if args.peer else _measure(args)
    print(json.dumps(result))


def _measure(args: argparse.Namespace) -> dict:
    device = cli.start_tensorflow()
    what = {"task": args.task, "engine": "deeplab_lfov", "device": device}
    what |= {name: getattr(args, name) for name in ("precision", "input_size", "batch_size")}
    timed = _TASKS[args.task](args)
    names = list(timed)
    seconds = _take_turns(list(timed.values()), args.repeats)
    what |= {"seconds_per_image": statistics.median(seconds[0]), "fastest": min(seconds[0])}
    for name, times in zip(names[1:], seconds[1:], strict=True):
        what[f"{name}_seconds_per_image"] = statistics.median(times)
        what["ratio"] = what["seconds_per_image"] / statistics.median(times)
    return what | {"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _take_turns(calls: list[Callable[[], int]], repeats: int) -> list[list[float]]:
    """Seconds per image of each call, which returns how many it did; the first is not timed."""
    seconds = [[] for _ in calls]
    for repeat in range(-1, repeats):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            num_images = call()
            if repeat >= 0:
                times.append((time.perf_counter() - start) / num_images)
    return seconds


def _against_peer(args: argparse.Namespace) -> dict:
    """Run this command without --peer and the peer's in turns, each in a process of its own."""
    height, width = args.input_size
    own = [sys.executable, __file__, args.task, "--input_size", f"{height},{width}"]
    for name in ("batch_size", "precision", "width", "repeats", "data_dir"):
        if getattr(args, name) is not None:
            own += [f"--{name}", str(getattr(args, name))]
    ours, theirs = [], []
    for _ in range(args.turns):
        ours.append(_last_line(own))
        theirs.append(_last_line(shlex.split(args.peer)))
        print(f"{ours[-1]['seconds_per_image']:.3f} s, {theirs[-1]['seconds_per_image']:.3f} s")
    median = [statistics.median(r["seconds_per_image"] for r in side) for side in (ours, theirs)]
    rss = [max(result["peak_rss_mb"] for result in side) for side in (ours, theirs)]
    return ours[0] | {
        "seconds_per_image": median[0],
        "fastest": min(result["fastest"] for result in ours),
        "peak_rss_mb": rss[0],
        "peer": theirs[0] | {"seconds_per_image": median[1], "peak_rss_mb": rss[1]},
        "ratio": median[0] / median[1],
    }


def _last_line(command: list[str]) -> dict:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        return {name: result[name] for name in ("seconds_per_image", "fastest")} | result
    except OSError as error:
        raise lfov.UserError(f"cannot run {command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise lfov.UserError(f"`{shlex.join(command)}` failed: {last}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise lfov.UserError(
            f"the last line of `{shlex.join(command)}` is no JSON object with seconds_per_image"
        ) from error


def _infer(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    with tempfile.TemporaryDirectory() as folder:
        predictor = lfov.Predictor(_checkpoint(args, folder), precision=args.precision)
    images = [_picture(args.input_size, seed) for seed in range(args.batch_size)]
    return {"infer": lambda: len([predictor(image) for image in images])}


def _train(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
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


def _reader(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    import tensorflow as tf

    folder = Path(args.data_dir) if args.data_dir else _drawn_data_set()
    samples = [p.name for p in sorted((folder / "JPEGImages").glob("*.jpg"))]
    rows = [f"JPEGImages/{n} {_mask_folder(folder)}/{Path(n).stem}.png" for n in samples]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as list_file:
        list_file.write("\n".join(rows))
        list_file.flush()
        reader = lfov.ImageReader(
            folder, list_file.name, scale_range=(0.75, 1.25), random_mirror=True
        )
    num_images = max(len(samples), 100) // 10 * 10
    paths = [str(reader.samples[n % len(samples)].image) for n in range(num_images)]

    def read() -> int:
        return 10 * sum(1 for _ in reader.batches(10, args.input_size, num_images // 10))

    def decode() -> int:
        pictures = tf.data.Dataset.from_tensor_slices(paths)
        pictures = pictures.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path)), tf.data.AUTOTUNE
        )
        return sum(1 for _ in pictures.prefetch(tf.data.AUTOTUNE))

    return {"reader": read, "decoding": decode}


def _crf(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    if args.data_dir:
        files = sorted((Path(args.data_dir) / "JPEGImages").glob("*.jpg"))[: args.batch_size]
        images = [lfov.pictures.read_image(file) for file in files]
    else:
        images = [_picture(args.input_size, seed) for seed in range(args.batch_size)]
    pairs = [(image, _probabilities(image.shape[:2], n)) for n, image in enumerate(images)]
    crf = lfov.crf.DenseCRF()
    calls = {"crf": lambda: len([crf(*pair) for pair in pairs])}
    if importlib.util.find_spec("pydensecrf"):
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


def _end_to_end(args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """inference.py on one picture; and its imports, reading of weights and network alone."""
    folder = Path(tempfile.mkdtemp())
    image, ckpt = folder / "picture.png", _checkpoint(args, folder)
    lfov.pictures.write_png(image, _pillow(_picture(args.input_size, 0)))
    program = ROOT / "inference.py"
    command = [sys.executable, program, image, ckpt, "--save_dir", folder / "output"]
    alone = (
        "import sys, numpy; from deeplab_lfov import cli; cli.start_tensorflow(); "
        "import deeplab_lfov as lfov; predictor = lfov.Predictor(sys.argv[1]); "
        "predictor(lfov.pictures.read_image(sys.argv[2]))"
    )
    bare = [sys.executable, "-c", alone, ckpt, image]
    return {"end_to_end": lambda: _call(command), "network_alone": lambda: _call(bare)}


def _checkpoint(args: argparse.Namespace, folder: str | Path) -> Path:
    """Random weights."""
    path = Path(folder) / "model.ckpt-0"
    lfov.checkpoints.export_weights(lfov.DeepLabLFOVModel(width=args.width, seed=0), path)
    return path


def _call(command: list) -> int:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return 1


def _picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth colors under a little noise, as a photograph has them: uint8 RGB [H, W, 3]."""
    rng = np.random.default_rng(seed)
    coarse = _pillow(rng.integers(0, 256, (10, 14, 3), np.uint8)).resize(size[::-1])
    return (np.asarray(coarse) * 0.9 + rng.normal(12, 4, (*size, 3))).clip(0, 255).astype(np.uint8)


def _pillow(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(pixels)


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


def _mask_folder(folder: Path) -> str:
    return next(f for f in lfov.data_list.MASK_FOLDERS if (folder / f).is_dir())


def _drawn_data_set() -> Path:
    """100 pictures of VOC's usual size with empty masks."""
    folder = Path(tempfile.mkdtemp())
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir()
    for seed in range(100):
        _pillow(_picture((375, 500), seed)).save(folder / f"JPEGImages/{seed:03}.jpg", quality=90)
        mask = np.full((375, 500), seed % 21, np.uint8)
        lfov.pictures.write_mask(folder / f"SegmentationClass/{seed:03}.png", mask)
    return folder


_TASKS = {
    "infer": _infer,
    "train": _train,
    "reader": _reader,
    "crf": _crf,
    "end_to_end": _end_to_end,
}


if __name__ == "__main__":
    cli.run(main, parser())
