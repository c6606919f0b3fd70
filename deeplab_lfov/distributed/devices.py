"""The GPUs and CPUs that TensorFlow may see."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.overlap import num_processors


def make_visible(
    names: Sequence[str] | None, on_this_host: tuple[int, int] = (0, 1), most: int | None = None
) -> tuple[list[str], list[str]]:
    """Show TensorFlow just these devices, such as "gpu:1"; None stands for all GPUs, or the CPU.

    on_this_host: (which worker, of how many), who take as many each, but for what
    CUDA_VISIBLE_DEVICES shows. most: how many GPUs to take of one's own. Returns TensorFlow's names
    and those for people. It has to come before TensorFlow computes anything. Raises UserError for a
    device that is not there, and where there are more workers than GPUs.
    """
    gpus = tf.config.list_physical_devices("GPU")
    there = [f"gpu:{number}" for number in range(len(gpus))] or ["cpu:0"]
    names = list(names or (_share(there, *on_this_host)[:most] if gpus else there))
    numbers = [int(name[4:]) for name in names]
    if names[0].startswith("gpu"):
        if missing := sorted(set(names) - set(there)):
            raise UserError(f"--devices {missing[0]} is not there; there is {', '.join(there)}")
        chosen = [gpus[number] for number in numbers]
        if chosen != gpus:
            tf.config.set_visible_devices(chosen, "GPU")
        details = map(tf.config.experimental.get_device_details, chosen)
        words = [detail.get("device_name", "GPU") for detail in details]
        return [f"gpu:{number}" for number in range(len(names))], words
    if sorted(numbers) != list(range(len(numbers))):
        raise UserError(f"--devices {names[-1]} is not there; CPUs are numbered from cpu:0 on")
    if gpus:
        tf.config.set_visible_devices([], "GPU")
    if len(names) > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration() for _ in names]
        tf.config.set_logical_device_configuration(cpu, logical)
    return sorted(names), [f"CPU, {num_processors()} cores"] * len(names)


def _share(gpus: list[str], which: int, workers: int) -> list[str]:
    """Return those of a host's GPUs that one of its workers takes."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return gpus
    if len(gpus) < workers:
        raise UserError(
            f"this host has {len(gpus)} GPUs and TF_CONFIG {workers} workers on it; give each "
            "worker one, or have one worker, which shares its batches among all"
        )
    return gpus[which * len(gpus) // workers : (which + 1) * len(gpus) // workers]


@contextmanager
def explaining_lack_of_memory(advice: Callable[[], str], of: str = "") -> Iterator[None]:
    """Raise UserError with some advice where the block runs out of a device's or the host's memory.

    of: what there was no memory for, after "out of memory".
    """
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        raise UserError(f"out of memory{of}; {advice()}") from error


def lacks_memory(error: BaseException) -> bool:
    """Tell whether an error is one for lack of memory, by its type or, of a GPU's, its text."""
    kinds = MemoryError | tf.errors.ResourceExhaustedError
    return isinstance(error, kinds) or bool(_MEMORY.search(str(error)))


_MEMORY = re.compile(r"out.of.memory|_ALLOC_FAILED|failed to allocate|No algorithm worked", re.I)
"""What CUDA, cuDNN, cuBLAS and TensorFlow say; algorithms do not work that find no memory."""


def compute_deterministically() -> None:
    """Make every later computation of the process give the same bits in every run."""
    tf.config.experimental.enable_op_determinism()
