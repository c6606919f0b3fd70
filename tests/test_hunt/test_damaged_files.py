"""Damaged files of every format that is read: each is read, or refused by a UserError, in seconds.

A few of each in the suite; `pytest -m hunt --hunt_minutes 30` goes on for as long.
"""

import io
import pickle
import signal
import time

import h5py
import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.decoding import opened
from deeplab_lfov.data.image_files import image_size, is_output, mask_mode, read_image, read_mask
from deeplab_lfov.errors import UserError
from deeplab_lfov.weights import foreign
from deeplab_lfov.weights.formats import format_of, read_foreign, read_tensors
from deeplab_lfov.weights.keras_vgg16 import read_h5
from deeplab_lfov.weights.matching import match_layers
from helpers import DATA, hunted

pytestmark = pytest.mark.filterwarnings("ignore")  # of Pillow's, about EXIF data

MOST_PIXELS = 10**8
"""Pictures that claim more are not decoded here: they may, and it takes some seconds each."""

FILES, WEIGHTS = 40, 4
"""Damaged files of each kind in the suite; of weights fewer, each of which takes a process."""

ARRAYS = {"conv1_1/w": np.ones((3, 3, 3, 4), np.float32), "conv1_1/b": np.zeros(4, np.float32)}


def pictures():
    """Content of small pictures in all formats, by suffix."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (17, 23, 3), np.uint8))
    indices = Image.fromarray(rng.integers(0, 21, (17, 23), np.uint8))
    indices.putpalette(bytes(range(63)))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {}
    for suffix, format_ in zip(
        ("jpg", "png", "bmp", "webp", "tif", "gif", "ppm"),
        ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM"),
        strict=True,
    ):
        for number, picture in enumerate((color, indices, color.convert("L"))):
            if number == 1 and format_ in ("JPEG", "WEBP", "PPM"):
                picture = color
            options = {"exif": exif} if format_ in ("JPEG", "PNG", "WEBP") else {}
            picture.save(content := io.BytesIO(), format_, **options)
            made[f"picture {suffix} {number}"] = content.getvalue()
    return made


def keras_file(numbered):
    with h5py.File(content := io.BytesIO(), "w") as file:
        if numbered:
            for name in ("conv2d", "conv2d_1"):
                file[f"layers/{name}/vars/0"] = ARRAYS["conv1_1/w"]
                file[f"layers/{name}/vars/1"] = ARRAYS["conv1_1/b"]
        else:
            file.attrs["layer_names"] = [b"a"]
            file.create_group("a").attrs["weight_names"] = [b"k:0", b"b:0"]
            file["a/k:0"], file["a/b:0"] = ARRAYS.values()
    return content.getvalue()


def npz(save):
    save(content := io.BytesIO(), **ARRAYS, class_names=np.array(["a", "b"]))
    return content.getvalue()


def originals():
    """Content of whole files by kind, whose first word names the reader."""
    files = {
        "weights pickle py2": "py2_net_weights.ckpt",
        "weights pickle skeleton": "py2_net_skeleton.ckpt",
        "weights caffe": "caffe_narrow.caffemodel",
        "weights caffe V1": "caffe_narrow_v1.caffemodel",
        "weights caffe VGG": "vgg16_narrow_v1.caffemodel",
        "torch zip": "torch_largefov_half.pth",
        "torch stream": "torch_vgg16_stream.pth",
        "torch safetensors": "torch_vgg16_bf16.safetensors",
    }
    made = {kind: (DATA / name).read_bytes() for kind, name in files.items()}
    # Not of checkpoints' lists of tensors, V1's and V2's: some damage there ends TensorFlow.
    name = "tf012_narrow_v2.ckpt.data-00000-of-00001"
    made["checkpoint data-00000-of-00001"] = (DATA / name).read_bytes()
    for protocol in (2, 3, 4, 5):
        made[f"weights pickle {protocol}"] = pickle.dumps(ARRAYS, protocol)
    made |= {"weights npz": npz(np.savez), "weights npz deflated": npz(np.savez_compressed)}
    made |= {"keras 2": keras_file(False), "keras 3": keras_file(True)}
    return made | pictures()


KINDS = sorted(originals())


def read_picture_and_mask(path):
    with opened(path) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise UserError("refused")
    size = image = None
    for read in (image_size, read_image, lambda path: read_mask(path, 21), mask_mode, is_output):
        try:
            result = read(path)
        except UserError:
            continue
        size = result if read is image_size else size
        image = result if read is read_image else image
    if image is None:
        raise UserError("refused")
    assert size == image.shape[:2]


def read_checkpoint_part(path):
    for part in DATA.glob("tf012_narrow_v2.ckpt.*"):
        if part.name != path.name:
            (path.parent / part.name).write_bytes(part.read_bytes())
    return read_tensors(path.with_name("tf012_narrow_v2.ckpt"))


def read_torch_or_safetensors(path):
    kind = format_of(path)
    if kind not in ("PyTorch", "safetensors"):
        return read_tensors(path)
    return match_layers(dict(read_foreign(kind, path)), path, "file").layers


READERS = {
    "weights": read_tensors,
    "torch": read_torch_or_safetensors,
    "checkpoint": read_checkpoint_part,
    "keras": lambda path: foreign.read(read_h5, path),
    "picture": read_picture_and_mask,
}


def damaged(content, rng, others):
    """Flip bits, overwrite, cut, repeat, drop and splice in a few places, most near an end."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        size = len(content)
        near = int(abs(rng.normal(0, 300)))
        place = int(rng.choice([rng.integers(size), near, size - 1 - near])) % size
        length = int(rng.integers(1, 200))
        what = rng.integers(7)
        if what < 2:
            content[place] ^= 1 << int(rng.integers(8))
        elif what == 2:
            content[place] = int(rng.integers(256))
        elif what == 3:
            other = others[rng.integers(len(others))]
            content[place : place + length] = other[-length:]
        elif what == 4:
            content[place:place] = content[near : near + length] * int(rng.integers(1, 4))
        elif what == 5 and size > length + 1:
            del content[place : place + length]
        elif rng.random() < 0.3:
            del content[place + 1 :]
    return bytes(content) or b"\0"


class TooLate(BaseException):
    """A file took more than ten seconds."""


def too_late(*_):
    raise TooLate


def read_or_refuse(kind, path):
    """Return what becomes of a file: `read` or `refused`; other errors go on."""
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(10)
    try:
        READERS[kind.split()[0]](path)
        return "read"
    except UserError as error:
        assert len(str(error)) < 10_000
        return "refused"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def name_of(kind):
    first, *_, last = kind.split()
    return f"tf012_narrow_v2.ckpt.{last}" if first == "checkpoint" else "file.tmp"


def hunt(kind, folder, seed, until, most):
    """Read damaged files until a time or a number of them, and count what became of them."""
    whole = originals()
    others = list(whole.values())
    path = folder / name_of(kind)
    for number in range(most):
        rng = np.random.default_rng([seed, KINDS.index(kind), number])
        path.write_bytes(damaged(whole[kind], rng, others))
        try:
            hunted(" ".join(kind.split()[:2]), read_or_refuse(kind, path))
        except BaseException:
            path.rename(kept := folder / f"wrong_{number}")
            print(f"{kind}, seed {seed}, number {number}: {kept}")
            hunted(" ".join(kind.split()[:2]), "wrong")
            raise
        if time.monotonic() > until:
            return


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read(kind, tmp_path):
    path = tmp_path / name_of(kind)
    path.write_bytes(originals()[kind])
    wanted = "refused" if "skeleton" in kind or "VGG" in kind else "read"
    assert read_or_refuse(kind, path) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    is_weights = kind.split()[0] in ("weights", "torch", "keras")
    hunt(kind, tmp_path, 1, float("inf"), WEIGHTS if is_weights else FILES)


@pytest.mark.hunt
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_hunt_finds_nothing(kind, tmp_path, hunt_minutes, hunt_seed):
    share = 60 * hunt_minutes / 2 / len(KINDS)
    hunt(kind, tmp_path, hunt_seed, time.monotonic() + share, 10**9)
