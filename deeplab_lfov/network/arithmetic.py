"""The arithmetic of convolutions: precisions by name, and what this machine makes of them.

"tensorfloat32" is float32 whose products NVIDIA's GPUs from compute capability 8.0 on compute with
10 bits of fraction, several times as fast; on other devices it is float32. TensorFlow has one
switch for it in a process, which is on unless somebody turns it off.
"""

import functools
import re
from pathlib import Path

import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.startup import missing_gpu

TENSORFLOAT32 = "tensorfloat32"

_chosen: str | None = None  # float32 or tensorfloat32: what the switch was set to, as it is one


def dtype_of(precision: str) -> tf.DType:
    """Return the type of a precision of `settings.PRECISIONS`."""
    return tf.float32 if precision == TENSORFLOAT32 else tf.as_dtype(precision)


def choose(precision: str) -> None:
    """Set TensorFlow's switch for a network of a precision; the first of a process decides.

    bfloat16 and float16 do not care. Raises UserError where a GPU is used and an earlier network,
    or somebody since, has chosen the other.
    """
    global _chosen
    if dtype_of(precision) != tf.float32:
        return
    if _chosen is None or not has_gpu():
        _chosen = precision
        tf.config.experimental.enable_tensor_float_32_execution(precision == TENSORFLOAT32)
    is_on = tf.config.experimental.tensor_float_32_execution_enabled()
    if is_on != (precision == TENSORFLOAT32):
        other = TENSORFLOAT32 if is_on else "float32"
        raise UserError(
            f"a network in {precision} cannot be in a process that computes in {other}: TensorFlow "
            f"has one switch for all; give the precision {other}, or take another process"
        )


def device_lines(device: str, precision: str) -> list[str]:
    """Say what a command computes on and in, and which GPU it cannot use: lines for its start."""
    meaning, missing = "", missing_gpu()
    if precision == TENSORFLOAT32 and not _all_gpus_are_new():
        meaning = " (float32 here)"
    elif type_to_compute(dtype_of(precision)) != dtype_of(precision):
        meaning = " (rounded to it, computed in float32)"
    lines = [f"device   {device}, {precision}{meaning}"]
    return [*lines, f"         {missing}"] if missing else lines


def short_precision() -> str | None:
    """Return the precision of 16 bits that takes half of the memory here; None if none does."""
    if has_gpu():
        return "bfloat16" if _all_gpus_are_new() else "float16"
    return "bfloat16" if type_to_compute(tf.bfloat16) == tf.bfloat16 else None


def has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


def type_to_compute(precision: tf.DType) -> tf.DType:
    """Return float32 for bfloat16 where the CPU lacks its arithmetic, else the precision itself.

    Products of rounded numbers, added up in float32, are what bfloat16 arithmetic gives.
    """
    emulated = precision == tf.bfloat16 and not has_gpu() and is_x86_without_bfloat16()
    return tf.float32 if emulated else precision


@functools.cache
def is_x86_without_bfloat16() -> bool:
    """Tell whether oneDNN, TensorFlow's library for x86, takes six times as long in bfloat16."""
    try:
        processor = Path("/proc/cpuinfo").read_text()
    except OSError:  # another system than Linux
        return False
    return "sse2" in processor and not re.search(r"\b(avx512_bf16|amx_bf16)\b", processor)


def _all_gpus_are_new() -> bool:
    """Tell whether there are GPUs, and none of a compute capability below 8.0."""
    details = map(tf.config.experimental.get_device_details, tf.config.get_visible_devices("GPU"))
    found = [detail.get("compute_capability", (0, 0)) for detail in details]
    return bool(found) and min(found) >= (8, 0)
