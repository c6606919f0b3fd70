"""The meeting of a cluster's workers at the start of a run."""

import faulthandler
import os
import signal
import sys
from pathlib import Path

import tensorflow as tf

from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.errors import UserError

MINUTES = 10
"""How long a worker waits for the others to start; then it ends with status 1."""


def connect(cluster: Cluster) -> tf.distribute.Strategy:
    """Wait for the other workers, and return the strategy that joins them.

    TensorFlow waits, and lets no line of Python run meanwhile. Raises UserError where they cannot
    connect.
    """
    print(f"worker   {cluster}; waiting at most {MINUTES} minutes for the others", file=sys.stderr)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with quiet_stderr(), Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(60 * MINUTES, exit=True, file=nowhere)
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
