"""The start of TensorFlow's cluster, when all its workers have met."""

import faulthandler
import os
import signal

import tensorflow as tf

from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.errors import UserError

_SECONDS = 120  # for workers that are all there; then the process says where it is, and ends


def connect(cluster: Cluster) -> tf.distribute.Strategy:
    """Connect to the other workers, and return the strategy that joins them.

    TensorFlow lets no line of Python run meanwhile, which is a second or two, and may take a
    SIGTERM for itself. Raises UserError where the workers cannot connect.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with os.fdopen(os.dup(2), "w") as stderr, quiet_stderr():
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=stderr)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, RuntimeError) as error:
            reason = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(
                f"worker {cluster}, cannot connect: {reason}; are the addresses in TF_CONFIG "
                "right, and their ports free and open?"
            ) from error
        finally:
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow has caught it
