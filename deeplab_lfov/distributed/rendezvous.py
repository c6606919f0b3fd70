"""The start of TensorFlow's cluster, when all its workers have met."""

import faulthandler
import os
import signal
from pathlib import Path

import tensorflow as tf

from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.errors import UserError

_SECONDS = 120  # for workers that are all there; then the process ends with status 1


def connect(cluster: Cluster) -> tf.distribute.Strategy:
    """Connect to the other workers, and return the strategy that joins them.

    TensorFlow lets no line of Python run meanwhile, so signals wait until it is done. Raises
    UserError where they cannot connect.
    """
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with quiet_stderr(), Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=nowhere)
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
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow has caught it
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
