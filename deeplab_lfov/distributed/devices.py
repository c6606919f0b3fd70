"""The GPUs and CPUs that TensorFlow may see."""

import os
from collections.abc import Sequence

import tensorflow as tf

from deeplab_lfov.errors import UserError


def first_device() -> list[str] | None:
    """Return the device for work on a single one: the first GPU; None stands for the CPU."""
    return ["gpu:0"] if tf.config.list_physical_devices("GPU") else None


def make_visible(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Show TensorFlow just these devices, such as "gpu:1"; None stands for all GPUs, or the CPU.

    Returns TensorFlow's names for them, and their names for people. It has to come before
    TensorFlow computes anything. Raises UserError for a device that is not there.
    """
    gpus = tf.config.list_physical_devices("GPU")
    there = [f"gpu:{number}" for number in range(len(gpus))] or ["cpu:0"]
    names = list(names or there)
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
    return sorted(names), [f"CPU, {os.cpu_count()} cores"] * len(names)


def compute_deterministically() -> None:
    """Make every later computation of the process give the same bits in every run."""
    tf.config.experimental.enable_op_determinism()
