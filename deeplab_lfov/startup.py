"""The start of TensorFlow: without its chatter, and without Keras until somebody asks for it."""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeplab_lfov.console import quiet_stderr, wants_chatter
from deeplab_lfov.files import writable_folder
from deeplab_lfov.overlap import num_processors

DRIVER = Path("/proc/driver/nvidia/version")
"""What NVIDIA's driver for Linux shows of itself; under WSL2 there is nvidia-smi only."""


def start_tensorflow(alone: bool = True, autotune: bool = True) -> str:
    """Load TensorFlow for a command and return the name of the device it will compute on.

    alone: this process is the only worker; with several, TensorFlow's errors are quiet too, as our
    own message says when a worker has gone. autotune: try out the algorithms of a GPU's
    convolutions for each new size of pictures. Raises UserError as `load_tensorflow`.
    """
    if not autotune:
        os.environ.setdefault("TF_CUDNN_USE_AUTOTUNE", "0")
    load_tensorflow("2" if alone else "3")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {num_processors()} cores"


def load_tensorflow(log_level: str = "2") -> None:
    """Load TensorFlow, and look for GPUs, without its chatter, and with oneDNN where it pays.

    TF_CPP_MIN_LOG_LEVEL=0 in the environment brings the chatter back. Raises UserError where there
    is no room for temporary files: TensorFlow writes code there, and goes wrong without a word.
    """
    writable_folder(tempfile.gettempdir(), "TMPDIR names another")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on older x86: 4x slower
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else it takes all of the memory
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", log_level)
    with quiet_stderr(), _without_keras():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")  # the first look says what it found
    if not wants_chatter():
        tf.get_logger().setLevel("ERROR")


def load_tensorflow_once() -> None:
    """Load TensorFlow as `load_tensorflow` does, unless the program has loaded it its own way.

    Warns of a GPU that it cannot use: nobody sees what TensorFlow itself says of it.
    """
    if "tensorflow" not in sys.modules:
        load_tensorflow()
        if missing := missing_gpu():
            warnings.warn(missing, stacklevel=3)


def missing_gpu() -> str:
    """Say what to do where there is an NVIDIA driver but TensorFlow sees no GPU; else ""."""
    import tensorflow as tf

    is_hidden = not re.match(r"\d|GPU-|MIG-", os.environ.get("CUDA_VISIBLE_DEVICES", "0"))
    has_driver = DRIVER.exists() or shutil.which("nvidia-smi")
    if tf.config.list_physical_devices("GPU") or is_hidden or not has_driver:
        return ""
    return (
        "an NVIDIA driver is here, but TensorFlow sees no GPU: pip install "
        "'tensorflow[and-cuda]>=2.18,<2.22' in an environment without PyTorch; "
        "TF_CPP_MIN_LOG_LEVEL=0 shows what it lacks"
    )


@contextmanager
def _without_keras() -> Iterator[None]:
    """Let an import of TensorFlow leave Keras, 0.4 s and 50 MB, until somebody asks for tf.keras.

    So it does where it is told to take the old one, tf_keras, and that is not installed.
    """
    name = "TF_USE_LEGACY_KERAS"
    is_chosen = name in os.environ or importlib.util.find_spec("tf_keras")
    if not is_chosen:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if not is_chosen:
            del os.environ[name]
