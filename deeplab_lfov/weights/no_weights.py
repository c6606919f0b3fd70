"""Files that hold no weights, or weights that nobody here reads, by how they begin."""

from pathlib import Path

from deeplab_lfov.errors import UserError

_BEGINNINGS = {
    b"\xff\xd8\xff": ("a JPEG", "give the weights; in inference.py they come last"),
    b"\x89PNG": ("a PNG", "give the weights; in inference.py they come last"),
    b"GIF8": ("a GIF", "give the weights; in inference.py they come last"),
    b"BM": ("a BMP", "give the weights; in inference.py they come last"),
    b"RIFF": ("a WebP or other RIFF", "give the weights; in inference.py they come last"),
    b"\x93NUMPY": ("one array of numpy's", "give an .npz of all, by the names of layers"),
    b"\x08\x01": ("a saved_model.pb", "give the checkpoint that it was made of"),
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

_OF_TEXT = frozenset(b"\t\n\r" + bytes(range(32, 127)))


def check_known(head: bytes, path: Path) -> None:
    """Raise UserError for a file that is known to be something else, with what to do.

    head: its first 64 bytes.
    """
    for start, (what, advice) in _BEGINNINGS.items():
        if head.startswith(start):
            raise UserError(f"{path} is {what} and no weights; {advice}")
    if not head:
        raise UserError(f"{path} is empty; download or copy it again")
    if head[:1] == b"\x08" and any(name in head for name in _IN_ONNX):
        raise UserError(
            f"{path} is an ONNX file, which is not read; give the .pth or checkpoint that it was "
            "made of"
        )
    # Only a .caffemodel may begin with a line feed and go on in letters: with a long name.
    if head[:1] != b"\n" and all(byte in _OF_TEXT for byte in head):
        raise UserError(f"{path} is text and no weights; if it was downloaded, read what it says")
