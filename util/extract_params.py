#!/usr/bin/env python3
"""Turn weights of any known kind into a checkpoint that train.py and inference.py take as it is."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import deeplab_lfov as lfov
from deeplab_lfov import cli, flags

if TYPE_CHECKING:
    from deeplab_lfov.conversion import Converted

OUTPUTS = ("model.ckpt-init", "net_weights.npz", "net_skeleton.json")


def parser() -> cli.Parser:
    """The flags of extract_params.py."""
    p = cli.Parser(f"Turn weights into {', '.join(OUTPUTS)}.")
    p.add_argument(
        "source",
        type=flags.PATH,
        metavar="SOURCE",
        help="LargeFOV or VGG-16 .caffemodel, Keras VGG16 .h5, a checkpoint, or the word imagenet",
    )
    p.add_argument("--output_dir", type=flags.PATH, default=".", help="folder for the three files")
    p.add_argument(
        "--head", choices=("keep", "init"), help="the last layer; default: keep it if there is one"
    )
    p.add_argument(
        "--num_classes", type=flags.NUM_CLASSES, help="of a fresh last layer; default: 21"
    )
    p.add_argument(
        "--seed", type=flags.SEED, default=0, help="decides the filters that start afresh"
    )
    p.add_argument(
        "--pycaffe_path",
        type=flags.PATH,
        metavar="DIR",
        help="read the .caffemodel through pycaffe",
    )
    p.add_argument(
        "--prototxt",
        type=flags.PATH,
        metavar="FILE",
        help="for pycaffe; default: LargeFOV with 21 classes",
    )
    return p


def main(args: argparse.Namespace) -> None:
    """Read, convert, complete, write."""
    folder = lfov.files.writable_folder(args.output_dir)
    checkpoint, npz, skeleton = (folder / name for name in OUTPUTS)
    lfov.files.check_no_glob(folder)
    if args.prototxt and not args.pycaffe_path:
        raise lfov.UserError("--prototxt is for --pycaffe_path, which is not given")
    for path in (*folder.glob(f"{checkpoint.name}.*"), npz, skeleton):
        if path.exists():
            raise lfov.UserError(f"{path} exists; give another --output_dir")
    cli.start_tensorflow()

    rows = _without_head(_rows(args), args)
    model = _model(rows, args)
    for line in _table(rows, model):
        print(line)

    try:
        _write(model, checkpoint, npz, skeleton)
    except lfov.UserError:
        for path in (*folder.glob(f"{checkpoint.name}.*"), npz, skeleton):
            path.unlink(missing_ok=True)  # nothing was there before
        raise
    print(f"{model.num_parameters:,} parameters in {checkpoint}, {npz} and {skeleton}")


def _write(model: lfov.DeepLabLFOVModel, checkpoint: Path, npz: Path, skeleton: Path) -> None:
    tensors = {name: parameter.numpy() for name, parameter in model.parameters.items()}
    with lfov.files.whole_file(npz) as partial:
        np.savez(partial, **tensors)
    with lfov.files.whole_file(skeleton) as partial:
        shapes = [json.dumps([name, tensor.shape]) for name, tensor in tensors.items()]
        partial.write_text("[" + ",\n ".join(shapes) + "]\n", encoding="utf-8")
    lfov.checkpoints.export_weights(model, checkpoint)


def _rows(args: argparse.Namespace) -> list[Converted]:
    """The source's tensors, each with what it was there."""
    conversion = lfov.conversion
    if args.source == "imagenet":
        return conversion.from_keras_vgg16(lfov.keras_vgg16.download(), "imagenet")
    source = lfov.weight_files.locate(args.source)
    if args.pycaffe_path:
        return _from_layers(_through_pycaffe(source, args), source)
    kind = lfov.weight_files.format_of(source)
    if kind == "HDF5":
        return conversion.from_keras_vgg16(lfov.keras_vgg16.read_h5(source), source)
    if kind == "Caffe":
        return _from_layers(lfov.caffemodel.read_caffemodel(source), source)
    tensors = lfov.weight_files.read_tensors(source)
    names = [name for name in tensors if not lfov.checkpoints.is_bookkeeping(name)]
    return [conversion.Converted(name, tensors[name].shape, name, tensors[name]) for name in names]


def _from_layers(layers: dict[str, list[np.ndarray]], source: Path) -> list[Converted]:
    is_vgg16 = lfov.conversion.is_vgg16(layers)
    convert = lfov.conversion.from_caffe_vgg16 if is_vgg16 else lfov.conversion.from_caffe
    return convert(layers, source)


def _through_pycaffe(source: Path, args: argparse.Namespace) -> dict[str, list[np.ndarray]]:
    sys.path.insert(0, args.pycaffe_path)
    try:
        caffe = importlib.import_module("caffe")
    except ImportError as error:
        raise lfov.UserError(f"there is no pycaffe in {args.pycaffe_path}: {error}") from error
    if not hasattr(caffe, "Net"):
        raise lfov.UserError(f"{args.pycaffe_path} holds no pycaffe; give Caffe's folder python")
    with tempfile.TemporaryDirectory() as folder:
        prototxt = args.prototxt or Path(folder) / "deploy.prototxt"
        if not args.prototxt:
            prototxt.write_text(lfov.conversion.deploy_prototxt())
        try:
            net = caffe.Net(str(prototxt), str(source), caffe.TEST)
        except RuntimeError as error:
            raise lfov.UserError(f"pycaffe cannot read {source}: {error}") from error
    return {name: [np.array(blob.data) for blob in blobs] for name, blobs in net.params.items()}


def _without_head(rows: list[Converted], args: argparse.Namespace) -> list[Converted]:
    """The rows, less those of the last layer where it is to start afresh."""
    rest = [row for row in rows if not row.name.startswith(f"{lfov.model.HEAD}/")]
    if args.head == "keep" and len(rest) == len(rows):
        raise lfov.UserError(f"{args.source} has no last layer to keep; use --head init")
    return rest if args.head == "init" else rows


def _model(rows: list[Converted], args: argparse.Namespace) -> lfov.DeepLabLFOVModel:
    """The network with the rows' tensors in it and fresh filters where there are none."""
    tensors = {row.name: row.tensor for row in rows}
    fit = lfov.checkpoints.fit_of(tensors, args.source)
    num_classes = fit.num_classes
    if f"{lfov.model.HEAD}/b" not in tensors:
        num_classes = args.num_classes or 21
    elif args.num_classes not in (None, num_classes):
        raise lfov.UserError(
            f"{args.source} has {num_classes} classes, not {args.num_classes}; use --head init"
        )
    model = lfov.DeepLabLFOVModel(num_classes, fit.width, seed=args.seed)
    fresh = [layer for layer in _may_start_afresh(tensors) if f"{layer}/w" not in tensors]
    lfov.checkpoints.set_parameters(model, tensors, args.source, skip=fresh)
    return model


def _may_start_afresh(tensors: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The last layer; and fc6 with fc7 where neither is there: a VGG-16 without its top."""
    has_top = any(name.startswith(("fc6/", "fc7/")) for name in tensors)
    return (lfov.model.HEAD,) if has_top else ("fc6", "fc7", lfov.model.HEAD)


def _table(rows: list[Converted], model: lfov.DeepLabLFOVModel) -> list[str]:
    """A line per tensor: the source's name and shape -> our name and shape."""
    sources = {row.name: (row.source, _shape(row.source_shape)) for row in rows}
    lines = []
    for name, parameter in model.parameters.items():
        kind = "Xavier" if name.endswith("/w") else "zeros"
        source, shape = sources.get(name, (f"afresh: {kind}", ""))
        lines.append((source, shape, name, _shape(parameter.shape)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  ->  {c:<{widths[2]}}  {d}" for a, b, c, d in lines
    ]


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


if __name__ == "__main__":
    cli.run(main, parser())
