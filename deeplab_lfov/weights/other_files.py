"""Files that hold no weights, or weights that nobody here reads, by how they begin."""

from pathlib import Path

from deeplab_lfov.errors import UserError

_BEGINNINGS = {
    b"\xff\xd8\xff": ("a JPEG", "give the weights; in inference.py they come last"),
    b"\x89PNG": ("a PNG", "give the weights; in inference.py they come last"),
    b"version https://git-lfs": ("a Git LFS pointer", "fetch the file itself: git lfs pull"),
    b"<!DOCTYPE": ("a web page", "download the file again"),
    b"<!doctype": ("a web page", "download the file again"),
    b"<html": ("a web page", "download the file again"),
    b"<?xml": ("XML", "download the file again"),
    b"\x1f\x8b": ("packed by gzip", "unpack it first"),
    b"7z\xbc\xaf": ("packed by 7-Zip", "unpack it first"),
    b"layer {": ("a prototxt", "give the .caffemodel"),
    b"name:": ("a prototxt", "give the .caffemodel"),
}
_IN_ONNX = (b"pytorch", b"tf2onnx", b"onnx", b"keras2onnx")  # names of producers, near the begin


def check_known(head: bytes, path: Path) -> None:
    """Raise UserError for a file that is known to be something else, with what to do.

    head: its first 64 bytes.
    """
    for start, (what, advice) in _BEGINNINGS.items():
        if head.startswith(start):
            raise UserError(f"{path} is {what} and no weights; {advice}")
    if head[:1] == b"\x08" and any(name in head for name in _IN_ONNX):
        raise UserError(
            f"{path} is an ONNX file, which is not read; give the .pth or checkpoint that it was "
            "made of"
        )
