"""The start of TensorFlow in the commands: quick, and without its chatter."""

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from deeplab_lfov.console import quiet_stderr, wants_chatter
from deeplab_lfov.files import writable_folder


def start_tensorflow(alone: bool = True) -> str:
    """Load TensorFlow without its chatter and return the name of the device it will compute on.

    alone: whether this process is the only worker. With several, TensorFlow's errors are kept quiet
    too, as our own message says when a worker has gone. TF_CPP_MIN_LOG_LEVEL=0 in the
    environment brings the chatter back. Raises UserError where there is no room for temporary
    files: TensorFlow writes code there, and goes wrong without a word where it cannot.
    """
    writable_folder(tempfile.gettempdir(), "TMPDIR names another")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on older x86: 4x slower
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if alone else "3")
    with quiet_stderr(), _without_garbage_collection():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if not wants_chatter():
        tf.get_logger().setLevel("ERROR")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {os.cpu_count()} cores"


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Turn garbage collection off for an import: its objects stay, and scans of them cost time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
