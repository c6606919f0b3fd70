"""The lock on a run's folder, by which one process at a time trains into it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import writable_folder

_LOCK, _HOLDER = ".lock", ".lock.holder"


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold the lock on a folder, which is made if need be, while the block runs.

    The system takes the lock from a process that dies. Who only reads checkpoints needs none.
    Raises UserError, with host and number of the process that holds it, where one does, and where
    the folder cannot be written to.
    """
    folder = writable_folder(folder)
    lock, holder = FileLock(folder / _LOCK, timeout=0), folder / _HOLDER
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"{folder} is in use: {_read(holder)} trains into it; wait for its end or stop it, or "
            "give another --snapshot_dir"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise UserError(f"cannot lock the folder {folder}: {error}; choose another") from error
    try:
        holder.unlink(missing_ok=True)  # it names a process that has died
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")[:200] or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
