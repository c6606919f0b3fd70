"""Other programs' files, read by their libraries in a process of its own with limits.

The libraries were not made for files that want to do harm. A crash, a wait without end and a wish
for all memory end the process and not the program, which gets nothing from it but plain arrays.
"""

import importlib
import json
import os
import subprocess
import sys
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


def read(reader: Reader, path: str | Path) -> list[tuple[str, np.ndarray]]:
    """Return what a reader yields for a file, in its order: names, and arrays of numbers or text.

    reader: a function of a module that can be imported. What it raises means a damaged file: that
    and whatever ends the process are a UserError.
    """
    most = _FREE_BYTES + _MOST_RATIO * Path(path).stat().st_size
    command = [sys.executable, "-m", __name__, reader.__module__, reader.__name__]
    # It finds modules where this process does, and not in its own folder: the file may lie there.
    folders = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    own = {"PYTHONPATH": folders, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, str(Path.cwd()), str(path), str(most)],
        cwd=Path(__file__).parents[2],
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends that one
    ) as process:
        clock, began = threading.Timer(MOST_SECONDS, process.kill), time.monotonic()
        clock.start()
        try:
            return list(_received(process.stdout, most))
        except (EOFError, ValueError, KeyError, TypeError) as error:
            process.stdout.close()  # which ends it, if it goes on writing
            reason = f"its reader ended with status {process.wait()}"
            if time.monotonic() - began >= MOST_SECONDS:
                reason = f"it took more than {MOST_SECONDS} seconds"
            raise UserError(f"{path} cannot be read: {reason}; is it damaged?") from error
        finally:
            clock.cancel()
            process.kill()


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


def _send(pairs: Pairs, stream: BinaryIO) -> None:
    """Write each array as a line of JSON and its bytes."""
    for name, array in pairs:
        said = {"name": name, "dtype": _plain(array.dtype).str, "shape": array.shape}
        stream.write(json.dumps(said).encode() + b"\n")
        stream.write(np.ascontiguousarray(array))


def _plain(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "biufSU":
        raise ValueError(f"it holds an array of {dtype}, neither numbers nor text")
    return dtype


def _limit(most_bytes: int) -> None:
    """Limit this process's memory and time, where the system can."""
    with suppress(ImportError):  # on Windows
        import resource

        limits = {resource.RLIMIT_AS: most_bytes, resource.RLIMIT_CPU: _MOST_PROCESSOR_SECONDS}
        for kind, most in (limits | {resource.RLIMIT_CORE: 0}).items():
            with suppress(ValueError, OSError):  # where it is lower already, and on macOS
                resource.setrlimit(kind, (most, most))


def main(module: str, reader: str, folder: str, name: str, most_bytes: str) -> None:
    """Read a file, `name` as seen from `folder`, and write what is in it to standard output."""
    read_file = getattr(importlib.import_module(module), reader)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a library says when it crashes
    os.chdir(folder)
    _limit(int(most_bytes))
    path, end = Path(name), {}
    try:
        _send(read_file(path), sys.stdout.buffer)
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
