#!/usr/bin/env python3
"""Turn weights of any known kind into a checkpoint that train.py and inference.py take as it is."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.errors import UserError, few, printable, shortened
from deeplab_lfov.files import check_no_glob, whole_file, writable_folder
from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.settings import NUM_CLASSES, PATH, WHOLE
from deeplab_lfov.startup import start_tensorflow
from deeplab_lfov.weights.conversion import (
    INPUTS,
    Converted,
    deploy_prototxt,
    folded,
    from_caffe,
    from_caffe_vgg16,
    input_of,
    is_vgg16,
    published_input,
)

if TYPE_CHECKING:
    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.weights.matching import Match

OUTPUTS = ("model.ckpt-init", "net_weights.npz", "net_skeleton.json")
DEFAULTS = {"output_dir": ".", "seed": 0}
OPTIONAL = ("head", "num_classes", "input", "pycaffe_path", "prototxt")


def parser() -> Parser:
    """Make the parser of extract_params.py."""
    p = Parser(f"Turn weights into {', '.join(OUTPUTS)}.", DEFAULTS)
    p.add_argument(
        "source",
        type=PATH,
        metavar="SOURCE",
        help="LargeFOV or VGG-16 as .caffemodel, .pth, .safetensors, .onnx, .h5, .keras, a "
        "checkpoint, or the word imagenet",
    )
    p.add_argument("--output_dir", type=PATH, help="folder for the three files")
    p.add_argument("--head", choices=("keep", "init"), help="the last layer; default: keep, if any")
    p.add_argument("--num_classes", type=NUM_CLASSES, help="of a fresh last layer, else 21")
    about = "; ".join(f"{name}: {each.about}" for name, each in INPUTS.items())
    help = f"pictures that the weights were trained on; default: by their names. {about}"
    p.add_argument("--input", choices=tuple(INPUTS), help=help)
    p.add_argument("--seed", type=WHOLE, help="decides the filters that start afresh")
    p.add_argument("--pycaffe_path", type=PATH, metavar="DIR", help="read by this pycaffe")
    p.add_argument("--prototxt", type=PATH, help="for pycaffe, else LargeFOV of 21 classes")
    return p


def main(given: dict[str, object]) -> None:
    """Read the weights, convert them, add missing layers, and write the files."""
    settings = Namespace(**dict.fromkeys(OPTIONAL) | DEFAULTS | given)
    folder = writable_folder(settings.output_dir)
    checkpoint, npz, skeleton = (folder / name for name in OUTPUTS)
    check_no_glob(folder)
    if settings.prototxt and not settings.pycaffe_path:
        raise UserError("--prototxt is for --pycaffe_path, which is not given")
    if there := _outputs(folder):
        raise UserError(f"{there[0]} exists; give another --output_dir")
    start_tensorflow()

    rows = _without_head(_rows(settings), settings)
    model, fresh = _model(rows, settings)
    for line in _table(rows, model):
        print(line)

    try:
        _write(model, fresh, checkpoint, npz, skeleton)
    except UserError:
        for path in _outputs(folder):
            path.unlink()  # nothing was there before
        raise
    print(f"{model.num_parameters:,} parameters in {checkpoint}, {npz} and {skeleton}")


def _outputs(folder: Path) -> list[Path]:
    patterns = f"{OUTPUTS[0]}.*", *OUTPUTS[1:]
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _write(
    model: DeepLabLFOVModel, fresh: list[str], checkpoint: Path, npz: Path, skeleton: Path
) -> None:
    from deeplab_lfov.weights.checkpoints import UNTRAINED, export_weights

    tensors = {name: parameter.numpy() for name, parameter in model.parameters.items()}
    mark = {UNTRAINED: np.array(fresh)} if fresh else {}
    with whole_file(npz) as partial:
        np.savez(partial, **tensors, **mark)
    with whole_file(skeleton) as partial:
        shapes = [json.dumps([name, tensor.shape]) for name, tensor in tensors.items()]
        partial.write_text("[" + ",\n ".join(shapes) + "]\n", encoding="utf-8")
    export_weights(model, checkpoint, fresh)


def _rows(settings: Namespace) -> list[Converted]:
    """Read the source's tensors, each with what it was there; say what they were trained on."""
    from deeplab_lfov.weights import keras_vgg16
    from deeplab_lfov.weights.checkpoints import UNTRAINED, is_bookkeeping
    from deeplab_lfov.weights.formats import format_of, read_match, read_weights
    from deeplab_lfov.weights.matching import match_layers
    from deeplab_lfov.weights.tf_checkpoint import locate

    if settings.source == "imagenet":
        return _converted(match_layers(keras_vgg16.download(), "imagenet", "graph"), settings)
    source = locate(settings.source)
    if settings.pycaffe_path:
        tensors = _through_pycaffe(source, settings)
        return _converted(match_layers(tensors, source, "graph"), settings)
    own = {}
    if format_of(source) in ("npz", "pickle", "checkpoint") and settings.input in (None, "caffe"):
        own = read_weights(source)
    if "conv1_1/w" not in own:
        return _converted(read_match(source), settings)
    print("input    caffe, by this program's names")
    names = [name for name in own if name == UNTRAINED or not is_bookkeeping(name)]
    return [Converted(name, own[name].shape, name, own[name]) for name in names]


def _converted(match: Match, settings: Namespace) -> list[Converted]:
    """Convert the layers that were found to this network's input and form; say what was decided."""
    layers = match.layers
    told = settings.input and (settings.input, "as --input says")
    convention, why = told or input_of(match.sources, layers, settings.source)
    if convention == "torchvision" and match.lacks_values and not told:
        convention, why = "rgb", "as torchvision says of its VGG-16 without a classifier"
    print(f"input    {convention}, {INPUTS[convention].about}, {why}")
    if published_input(layers) not in (None, convention):
        print(f"warning: conv1_1 is that of the VGG-16 for --input {published_input(layers)}")
    for note in match.notes:
        print(f"note     {note}")
    if match.left_out:
        names = [shortened(printable(name), 60) for name in match.left_out]
        print(f"left out {few(names)}, for which this network has no place")
    layers = layers if convention == "caffe" else folded(layers, convention)
    rows = (from_caffe_vgg16 if is_vgg16(layers) else from_caffe)(layers)
    names = [row.source.partition(".") for row in rows]
    sources = [f"{match.sources[layer]}.{part}" for layer, _, part in names]
    return [row._replace(source=source) for row, source in zip(rows, sources, strict=True)]


def _through_pycaffe(source: Path, settings: Namespace) -> dict[str, np.ndarray]:
    sys.path.insert(0, settings.pycaffe_path)
    try:
        caffe = importlib.import_module("caffe")
    except ImportError as error:
        raise UserError(f"there is no pycaffe in {settings.pycaffe_path}: {error}") from error
    if not hasattr(caffe, "Net"):
        raise UserError(f"{settings.pycaffe_path} holds no pycaffe; give Caffe's folder python")
    with tempfile.TemporaryDirectory() as folder:
        prototxt = settings.prototxt or Path(folder) / "deploy.prototxt"
        if not settings.prototxt:
            prototxt.write_text(deploy_prototxt())
        try:
            net = caffe.Net(str(prototxt), str(source), caffe.TEST)
        except RuntimeError as error:
            raise UserError(f"pycaffe cannot read {source}: {error}") from error
    params = {name: list(enumerate(blobs)) for name, blobs in net.params.items()}
    return {f"{name}/{n}": np.array(b.data) for name, blobs in params.items() for n, b in blobs}


def _without_head(rows: list[Converted], settings: Namespace) -> list[Converted]:
    """Leave out the rows of the last layer where it is to start afresh."""
    rest = [row for row in rows if not row.name.startswith(f"{HEAD}/")]
    if settings.head == "keep" and len(rest) == len(rows):
        raise UserError(f"{settings.source} has no last layer to keep; use --head init")
    return rest if settings.head == "init" else rows


def _model(rows: list[Converted], settings: Namespace) -> tuple[DeepLabLFOVModel, list[str]]:
    """Make the network with the rows' tensors, and name its layers that are random."""
    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.weights.checkpoints import fit_of, set_parameters

    tensors = {row.name: row.tensor for row in rows}
    fit = fit_of(tensors, settings.source)
    num_classes = fit.num_classes
    if f"{HEAD}/b" not in tensors:
        num_classes = settings.num_classes or 21
    elif settings.num_classes not in (None, num_classes):
        raise UserError(
            f"{settings.source} has {num_classes} classes, not {settings.num_classes}; "
            "use --head init"
        )
    model = DeepLabLFOVModel(num_classes, fit.width, seed=settings.seed)
    fresh = [layer for layer in _may_start_afresh(tensors) if f"{layer}/w" not in tensors]
    set_parameters(model, tensors, settings.source, skip=fresh)
    model.start_afresh(fresh, settings.seed)
    return model, list(dict.fromkeys((*fit.untrained, *fresh)))


def _may_start_afresh(tensors: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Name the layers that may be fresh: the last; fc6 and fc7 too in a VGG-16 without top."""
    has_top = any(name.startswith(("fc6/", "fc7/")) for name in tensors)
    return (HEAD,) if has_top else ("fc6", "fc7", HEAD)


def _table(rows: list[Converted], model: DeepLabLFOVModel) -> list[str]:
    """Return a line per tensor: the source's name and shape -> our name and shape."""
    sources = {
        row.name: (shortened(printable(row.source), 60), _shape(row.source_shape)) for row in rows
    }
    lines = []
    for name, parameter in model.parameters.items():
        fresh = "afresh: small, random" if name.endswith("/w") else "afresh: zeros"
        lines.append((*sources.get(name, (fresh, "")), name, _shape(parameter.shape)))
    a, b, c, _ = (max(map(len, column)) for column in zip(*lines, strict=True))
    return [f"{w:<{a}}  {x:<{b}}  ->  {y:<{c}}  {z}" for w, x, y, z in lines]


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


if __name__ == "__main__":
    run(main, parser())
