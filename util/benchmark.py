#!/usr/bin/env python3
"""Measure speed and memory: the last line is one JSON object, seconds per image and what they are.

What a task is compared with takes turns with it in one run, and so does the command of --peer.
"""

import importlib.util
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import deeplab_lfov as lib
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.data.image_files import DATA_SET, read_image, write_mask
from deeplab_lfov.errors import UserError
from deeplab_lfov.settings import COUNT, PRECISIONS, SIZE, Kind
from deeplab_lfov.startup import start_tensorflow

DEFAULTS = {"precision": "float32", "repeats": 7, "data_dir": None}
FIGURES = {"seconds_per_image": median, "fastest": min, "peak_rss_mb": max}
"""What every last line has, each above 0, and which of several turns' is taken."""
TURNS, SEVERAL = 3, 6  # of each with --peer; pictures that end_to_end gives to one command
SAMPLES = 400  # at least, that the reader reads at a time: the first takes 0.1 s

Calls = dict[str, tuple[int, Callable[[], object]]]
"""What is timed, by name: how many images a call does, and the call. The task's own comes first."""


def parser() -> Parser:
    """Make the parser of benchmark.py."""
    p = Parser("Measure speed and memory; the last line is one JSON object.", DEFAULTS)
    p.add_argument("task", choices=TASKS)
    p.add_argument("--input_size", type=SIZE, help="height,width; default: as in the paper")
    p.add_argument("--batch_size", type=COUNT, help="default: train 2, reader 10, others 1")
    p.add_argument("--precision", choices=PRECISIONS)
    p.add_argument("--data_dir", type=Path, help="VOC's folder, for reader and crf; default: drawn")
    p.add_argument("--repeats", type=COUNT, help="timed repetitions")
    command = Kind(shlex.split, bool, "a command; is a quote left open?")
    p.add_argument("--peer", type=command, help="a command that prints such a line, run in turns")
    return p


def main(given: dict[str, object]) -> None:
    """Measure once, or in turns with the peer."""
    task, input_size, batch_size, unused = TASKS[given["task"]]
    if flag := next((name for name in unused.split() if name in given), None):
        raise UserError(f"{given['task']} has no use for --{flag}; leave it out")
    peer, sizes = given.pop("peer", None), {"input_size": input_size, "batch_size": batch_size}
    settings = Namespace(**DEFAULTS | sizes | given)
    if settings.data_dir and not list(settings.data_dir.glob("JPEGImages/*.jpg")):
        raise UserError(f"there is no picture JPEGImages/*.jpg in --data_dir {settings.data_dir}")
    print(json.dumps(against_peer(peer, given) if peer else measure(task, settings)))


def measure(task: Callable[[Namespace, Path], Calls], settings: Namespace) -> dict:
    """Time a task's calls in turns, of which the first does not count."""
    device = start_tensorflow(autotune=task is train)
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        calls = task(settings, Path(folder))
        seconds = {name: [] for name in calls}
        for _ in range(settings.repeats + 1):
            for name, (num_images, call) in calls.items():
                start = time.perf_counter()
                call()
                seconds[name].append((time.perf_counter() - start) / num_images)
    medians = {name: median(times[1:]) for name, times in seconds.items()}
    ours, *others = medians.values()
    what = {"task": settings.task, "engine": "deeplab_lfov", "device": device}
    what |= {name: getattr(settings, name) for name in ("precision", "input_size", "batch_size")}
    what |= {f"{name}_seconds_per_image": figure for name, figure in [*medians.items()][1:]}
    what |= {"seconds_per_image": ours, "fastest": min(seconds[settings.task][1:])}
    if task is end_to_end:  # what a further picture adds is the network, and the rest the start
        several, imports, _ = others
        what["own_seconds"] = ours - (SEVERAL * several - ours) / (SEVERAL - 1) - imports
    elif others:
        what["ratio"] = ours / others[0]
    whose = resource.RUSAGE_CHILDREN if task is end_to_end else resource.RUSAGE_SELF
    what["peak_rss_mb"] = resource.getrusage(whose).ru_maxrss // 1024
    if tf.config.list_physical_devices("GPU"):
        what["gpu_peak_mb"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] >> 20
    return what


def against_peer(peer: list[str], given: dict[str, object]) -> dict:
    """Run this command without --peer and the peer's in turns, each in a process of its own."""
    command = [sys.executable, __file__, given.pop("task")]
    for name, value in given.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        command += [f"--{name}", text]
    results = [(last_line(command), last_line(peer)) for _ in range(TURNS)]
    ours, theirs = (
        turns[0] | {name: pick(each[name] for each in turns) for name, pick in FIGURES.items()}
        for turns in zip(*results, strict=True)
    )
    ratio = ours["seconds_per_image"] / theirs["seconds_per_image"]
    return ours | {"peer": theirs, "ratio": ratio}


def last_line(command: list[str]) -> dict:
    """Run a command and read its last line; raises UserError where that is no measurement."""
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
        if min(result[name] for name in FIGURES) > 0:
            return result
    except (LookupError, TypeError, ValueError):
        pass
    said = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise UserError(f"`{shlex.join(command)}` gives no JSON with {', '.join(FIGURES)}: {said}")


def infer(settings: Namespace, folder: Path) -> Calls:
    """Return the call that takes pictures in and gives masks out."""
    predictor, images = lib.Predictor(precision=settings.precision), pictures(settings, folder)
    return {"infer": (len(images), lambda: [predictor(image) for image in images])}


def train(settings: Namespace, folder: Path) -> Calls:
    """Return the call that takes a step of Adam."""
    import tensorflow as tf

    solver = lib.Solver(lib.DeepLabLFOVModel(precision=settings.precision, seed=0))
    images = 50 * tf.random.stateless_normal((settings.batch_size, *settings.input_size, 3), [0, 0])
    labels = tf.cast(images[..., :1] > 0, tf.uint8)
    return {"train": (len(images), lambda: float(solver.step(images, labels)))}


def convolutions(settings: Namespace, folder: Path) -> Calls:
    """Return calls that compute the network's scores with and without Winograd's algorithm."""
    import tensorflow as tf

    model = lib.DeepLabLFOVModel(precision=settings.precision, seed=0)
    images = 50 * tf.random.stateless_normal((settings.batch_size, *settings.input_size, 3), [0, 0])
    scores = partial(tf.function(model.scores), images)
    fast, plain = model.convolutions(), model.plain_convolutions()
    return {
        "convolutions": (len(images), lambda: scores(convolutions=fast).numpy()),
        "plain": (len(images), lambda: scores(convolutions=plain).numpy()),
    }


def reader(settings: Namespace, folder: Path) -> Calls:
    """Return calls that read scaled, cropped, mirrored samples, or only decode their pictures."""
    import tensorflow as tf

    files = jpegs(settings, folder, 100, (375, 500))
    augmentation = {"scale_range": (0.75, 1.25), "random_mirror": True}
    samples = lib.ImageReader(settings.data_dir or folder, folder / "list.txt", **augmentation)
    steps = -(-max(len(files), SAMPLES) // settings.batch_size)
    num_images = steps * settings.batch_size
    paths = tf.data.Dataset.from_tensor_slices(np.resize([*map(str, files)], num_images))
    pixels = paths.map(lambda path: tf.io.decode_jpeg(tf.io.read_file(path)), tf.data.AUTOTUNE)
    batches = partial(samples.batches, settings.batch_size, settings.input_size, steps)
    return {
        "reader": (num_images, lambda: sum(1 for _ in batches())),
        "decoding": (num_images, lambda: sum(1 for _ in pixels.prefetch(tf.data.AUTOTUNE))),
    }


def crf(settings: Namespace, folder: Path) -> Calls:
    """Return calls of the dense CRF, and of PyPI's pydensecrf2 if it is installed."""
    images, segment, refine = pictures(settings, folder), lib.Predictor().segment, lib.DenseCRF()
    pairs = [(image, segment(image).probabilities()) for image in images]
    calls = {"crf": (len(pairs), lambda: [refine(*pair) for pair in pairs])}
    if importlib.util.find_spec("pydensecrf"):
        calls["pydensecrf2"] = len(pairs), lambda: [pydensecrf2(*pair) for pair in pairs]
    return calls


def pydensecrf2(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Refine probabilities by PyPI's pydensecrf2 with the defaults of `crf.DenseCRF`."""
    from pydensecrf import densecrf, utils

    height, width, num_classes = probabilities.shape
    refiner = densecrf.DenseCRF2D(width, height, num_classes)
    unary = utils.unary_from_softmax(probabilities.transpose(2, 0, 1))
    refiner.setUnaryEnergy(np.ascontiguousarray(unary))
    refiner.addPairwiseGaussian(sxy=3, compat=3)
    refiner.addPairwiseBilateral(sxy=121, srgb=5, rgbim=np.array(image), compat=4)
    refined = np.array(refiner.inference(10), np.float32)
    return refined.reshape(num_classes, height, width).transpose(1, 2, 0)


def end_to_end(settings: Namespace, folder: Path) -> Calls:
    """Return commands: inference.py on one picture and on several, an import, evaluate.py."""
    files = jpegs(settings, folder, SEVERAL, settings.input_size)
    infer, evaluate = [sys.executable, "inference.py"], [sys.executable, "evaluate.py"]
    evaluate += ["--data_dir", folder, "--data_list", "list.txt"]
    output = ["--save_dir", folder / "output", "--precision", settings.precision]
    imports = "from deeplab_lfov.startup import start_tensorflow; start_tensorflow()"
    call = partial(subprocess.run, cwd=Path(__file__).parents[1], check=True, capture_output=True)
    return {
        "end_to_end": (1, partial(call, [*infer, files[0], *output])),
        "several": (SEVERAL, partial(call, [*infer, *files, *output])),
        "import": (1, partial(call, [sys.executable, "-c", imports])),
        "evaluation": (SEVERAL, partial(call, [*evaluate, *output])),
    }


def pictures(settings: Namespace, folder: Path) -> list[np.ndarray]:
    """Read a batch of pictures: uint8 RGB [H, W, 3]."""
    files = jpegs(settings, folder, settings.batch_size, settings.input_size)
    return [read_image(file) for file in files[: settings.batch_size]]


def jpegs(settings: Namespace, folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """List the pictures of --data_dir, or draw as many, with masks of one class each."""
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir()
    for number in range(0 if settings.data_dir else count):
        rng = np.random.default_rng(number)
        colors = Image.fromarray(rng.integers(0, 256, (10, 14, 3), np.uint8)).resize(size[::-1])
        pixels = (np.asarray(colors) * 0.9 + rng.normal(12, 4, (*size, 3))).clip(0, 255)
        image, mask = folder / f"JPEGImages/{number:03}.jpg", np.full(size, number % 21, np.uint8)
        Image.fromarray(pixels.astype(np.uint8)).save(image, quality=90)
        write_mask(folder / f"SegmentationClass/{number:03}.png", mask, DATA_SET)
    files = sorted((settings.data_dir or folder).glob("JPEGImages/*.jpg"))
    (folder / "list.txt").write_text("\n".join(file.stem for file in files))
    return files


TASKS = {
    "infer": (infer, (377, 505), 1, "data_dir"),
    "train": (train, (321, 321), 2, "data_dir"),
    "convolutions": (convolutions, (377, 505), 1, "data_dir"),
    "reader": (reader, (321, 321), 10, "precision"),
    "crf": (crf, (375, 500), 1, "precision"),
    "end_to_end": (end_to_end, (375, 500), 1, "batch_size data_dir"),
}
"""What each task times, its size and batch where none is given, and flags that it has no use for"""


if __name__ == "__main__":
    run(main, parser())
