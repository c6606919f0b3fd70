"""Other programs' files, read by their libraries in a process of its own with limits.

The libraries were not made for files that want to do harm. A crash, a wait without end and a wish
for all memory end the process and not the program, which gets nothing from it but plain arrays.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deeplab_lfov.errors import UserError, shortened

Pairs = Iterator[tuple[str, np.ndarray]]
Reader = Callable[[Path], Pairs]

MOST_SECONDS = 600  # by the clock: the file may lie on a slow disk
_MOST_PROCESSOR_SECONDS = 120
_FREE_BYTES, _MOST_RATIO = 4 << 30, 8  # of memory, and more for each byte of the file
_KINDS = "biufSU"  # numbers and text
_ROOT = Path(__file__).parents[2]


def read(reader: Reader, path: str | Path) -> list[tuple[str, np.ndarray]]:
    """Return what a reader yields for a file, in its order: names, and arrays of numbers or text.

    reader: a function of a module that can be imported. What it raises is a damaged file: that and
    whatever ends the process are a UserError.
    """
    command = [sys.executable, "-m", __name__, reader.__module__, reader.__name__, os.getcwd()]
    # It finds modules where this process does, not in its own folder, where the file may lie.
    paths = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    environment = {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            [*command, str(path)],
            cwd=_ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as process,
    ):
        clock, began = threading.Timer(MOST_SECONDS, process.kill), time.monotonic()
        clock.start()
        try:
            return list(_received(process.stdout, _most_bytes(path)))
        except (EOFError, ValueError, KeyError, TypeError) as error:
            reason = _last_words(process, messages)
            if time.monotonic() - began >= MOST_SECONDS:
                reason = f"it took more than {MOST_SECONDS} seconds"
            raise UserError(f"{path} cannot be read: {reason}; is it damaged?") from error
        finally:
            clock.cancel()
            process.kill()


def _last_words(process: subprocess.Popen, messages: BinaryIO) -> str:
    status = process.wait()
    messages.seek(0)
    *_, last = messages.read(1 << 20).decode("utf-8", "replace").splitlines() or [""]
    return f"its reader ended with status {status} {shortened(last, 200)}".strip()


def _most_bytes(path: str | Path) -> int:
    return _FREE_BYTES + _MOST_RATIO * os.stat(path).st_size


def _received(stream: BinaryIO, most: int) -> Pairs:
    """Yield what `_send` writes; raises UserError that it tells of, and EOFError at an early end.

    The other side may be in the hands of the file by now, and is not trusted with sizes or types.
    """
    while line := stream.readline(1 << 20):
        said = json.loads(line)
        if "error" in said:
            raise UserError(said["error"])
        if "name" not in said:
            return
        dtype = _plain(np.dtype(said["dtype"]))
        most -= dtype.itemsize * np.prod(said["shape"], dtype=float)
        if most < 0:
            raise ValueError("it sends more than it may have in memory")
        array = np.empty(said["shape"], dtype)
        if stream.readinto(array) != array.nbytes:
            break
        yield said["name"], array
    raise EOFError


def _plain(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in _KINDS:
        raise ValueError(f"it holds an array of {dtype}, neither numbers nor text")
    return dtype


def _send(pairs: Pairs, stream: BinaryIO) -> None:
    """Write each array as a line of JSON and its bytes."""
    for name, array in pairs:
        said = {"name": name, "dtype": _plain(array.dtype).str, "shape": array.shape}
        stream.write(json.dumps(said).encode() + b"\n")
        stream.write(np.ascontiguousarray(array))


def _limit(path: Path) -> None:
    """Limit this process's memory and time, where the system can."""
    with suppress(ImportError):  # on Windows
        import resource

        limits = {
            resource.RLIMIT_AS: _most_bytes(path),
            resource.RLIMIT_CPU: _MOST_PROCESSOR_SECONDS,
            resource.RLIMIT_CORE: 0,
        }
        for kind, most in limits.items():
            with suppress(ValueError, OSError):  # where it is lower already, and on macOS
                resource.setrlimit(kind, (most, most))


def main(module: str, reader: str, folder: str, name: str) -> None:
    """Read a file, `name` as seen from `folder`, and write what is in it to standard output."""
    os.chdir(folder)
    path, end = Path(name), {}
    _limit(path)
    try:
        _send(getattr(importlib.import_module(module), reader)(path), sys.stdout.buffer)
    except UserError as error:
        end = {"error": str(error)}
    except MemoryError:
        end = {"error": f"{path} asks for more memory than a file of its size needs"}
    except Exception as error:  # every library has its own for damage, and nothing else runs here
        reason = shortened(str(error) or type(error).__name__, 300)
        end = {"error": f"{path} is damaged or of another kind than its beginning says: {reason}"}
    sys.stdout.buffer.write(json.dumps(end).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
