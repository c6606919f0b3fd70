"""Output files: written whole or not at all, in folders known to be writable."""

import csv
import json
import os
import re
import socket
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from deeplab_lfov.errors import UserError


@contextmanager
def whole_file(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    The temporary name keeps the suffix of `path`, which many writers read the format from.
    durable: be on the disk itself before that, so that a power cut leaves the old file or the new.
    Raises UserError when the file cannot be written (disk full, no permission).
    """
    path = Path(path).resolve()  # through a link to what it points at
    number = zlib.crc32(os.fsencode(path.name))  # as a name may be as long as names can be
    partial = path.with_name(f".{number:08x}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        if durable:
            flush_to_disk(partial)
        partial.replace(path)
        if durable:
            flush_to_disk(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def flush_to_disk(path: str | Path) -> None:
    """Wait until what a file holds, or the names in a folder, are on the disk itself.

    Raises OSError where a file cannot be written to it; not every file system has it for folders.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if Path(path).is_dir() else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_partials(folder: Path) -> None:
    """Remove the partial files that killed processes left in a folder.

    `whole_file` left them; those of other processes of this machine that still run are kept. Where
    this process's number is on one, an earlier process had it: in a container they come again.
    """
    for path in folder.glob(".*.partial*"):
        match = re.fullmatch(r"\..+\.(\d+)\.partial(\.\w+)?", path.name)
        if match and not _is_running(int(match[1])):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except PermissionError:  # it is another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return process != os.getpid()


def writable_folder(path: str | Path, advice: str = "choose another") -> Path:
    """Create the folder `path` if need be; raises UserError where no files can be written to it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(1 << 16))
            file.flush()
            return path
    except OSError as error:
        raise UserError(f"cannot write to the folder {path}: {error.strerror}; {advice}") from error


@contextmanager
def locked(lock: Path, does: str, flag: str) -> Iterator[None]:
    """Hold a lock in a folder, which is made if need be, while the block runs.

    The system takes it from a process that dies. does: what this process does with the folder;
    flag: what gives another. Raises UserError, with host and number of the process that holds it,
    where one does.
    """
    from filelock import FileLock, Timeout  # which takes 0.1 s

    folder = writable_folder(lock.parent)
    held, holder = FileLock(lock, timeout=0), lock.with_name(f"{lock.name}.holder")
    try:
        held.acquire()
    except Timeout as error:
        who = holder.read_text("utf-8")[:200] if holder.is_file() else "another process"
        raise UserError(
            f"{folder} is in use: {who} {does}; wait for its end or stop it, or give another {flag}"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise UserError(f"cannot lock the folder {folder}: {error}; choose another") from error
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def check_no_glob(path: str | Path) -> None:
    """Raise UserError for a name that TensorFlow takes for a pattern, or that is not UTF-8."""
    if re.search("[*?[\ud800-\udfff]", str(path)):
        raise UserError(
            f"TensorFlow cannot use {path}; rename what has *, ? or [ in its name, or is not UTF-8"
        )


def writable_json(path: str | Path, keys: set[str]) -> Path:
    """Prove that the file `path` can be written, without touching it.

    Raises UserError where it cannot, and where there is anything but an object with all `keys`.
    """
    path = Path(path)
    with suppress(ValueError, AttributeError, RecursionError):
        if not path.exists() or (path.is_file() and keys <= json.loads(path.read_bytes()).keys()):
            writable_folder(path.parent)
            return path
    raise UserError(f"{path} exists and is no earlier output of this program; save elsewhere")


def writable_csv(path: str | Path, header: Sequence[str]) -> None:
    """Prove that the file `path` can be written; raises UserError for one of another header."""
    path, head = Path(path), ",".join(header).encode()
    if path.exists() and not (path.is_file() and path.read_bytes()[: len(head)] == head):
        raise UserError(f"{path} exists and is no earlier output of this program; save elsewhere")
    writable_folder(path.parent)


@contextmanager
def whole_csv(path: str | Path, header: Sequence[str]) -> Iterator[Callable[[Sequence], object]]:
    """Yield what writes a row of a CSV file, which is there when the block ends well."""
    kind = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with whole_file(path) as partial, partial.open("w", **kind) as file:
        csv.writer(file).writerow(header)
        yield csv.writer(file).writerow


def output_names(paths: Sequence[Path], depths: Sequence[int] = ()) -> list[Path]:
    """Name what paths become by so many of their last parts, 1 if not said, without suffix.

    Equal names get more parts, and those of one folder their suffixes: whichever path joins them,
    none gets a name that was another's.
    """
    taken = Counter([*{*paths}, *(path.with_suffix("") for path in {*paths})])
    stems = (path.with_suffix("") for path in paths)
    kept = (p if taken[stem] > 1 else stem for p, stem in zip(paths, stems, strict=True))
    wholes = [Path(os.path.normpath(path.absolute())).parts[1:] for path in kept]
    lengths = dict(zip(wholes, depths or [1] * len(wholes), strict=True))
    while True:
        names = {whole: whole[-length:] for whole, length in lengths.items()}
        times = Counter(names.values())
        if len(times) == len(names):
            return [Path(*names[whole]) for whole in wholes]
        lengths = {whole: lengths[whole] + (times[names[whole]] > 1) for whole in names}
