"""How the workers of a cluster join, and find out whether they were started alike."""

import json
import signal
import sys
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.errors import UserError, printable, shortened


def connect(cluster: Cluster) -> tf.distribute.Strategy:
    """Wait for the other workers, and return the strategy that joins all.

    TensorFlow lets no line of Python run meanwhile, so SIGINT is to end the process as SIGTERM
    does; TensorFlow catches that one when it has connected, which is undone. Raises UserError where
    the workers cannot connect.
    """
    words = f"worker   {cluster}; waiting for the others, which Ctrl-C ends"
    print(printable(words), file=sys.stderr, flush=True)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with quiet_stderr():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        reason = shortened(str(getattr(error, "message", error)), 200)
        raise UserError(
            f"worker {cluster}, cannot connect: {reason}; are all workers started, the addresses "
            "in TF_CONFIG right, and their ports free and open?"
        ) from error
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def check_alike(
    cluster: Cluster, facts: Mapping[str, object], add_up: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Raise UserError, in every worker, for the first that has other facts than the chief.

    facts: by name, each what JSON holds; add_up: sums the workers' arrays.
    """
    sums = np.zeros((len(cluster.workers), len(facts)), np.int64)
    texts = [json.dumps(fact, sort_keys=True) for fact in facts.values()]
    sums[cluster.index] = [zlib.crc32(text.encode()) for text in texts]
    sums = add_up(sums)
    for worker, differs in zip(cluster.workers, sums != sums[0], strict=True):
        if differs.any():
            names = " and ".join(np.array(list(facts))[differs])
            raise UserError(
                f"worker {worker} has other {names} than the chief; start all with the same line, "
                "and give them the same files"
            )


def checksum(tensors: Mapping[str, np.ndarray]) -> int:
    """Return a checksum of 32 bits of the numbers in tensors by name."""
    value = 0
    for name in sorted(tensors):
        if tensors[name].dtype != object:
            value = zlib.crc32(np.ascontiguousarray(tensors[name]), value)
    return value
