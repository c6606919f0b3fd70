"""The devices and machines that share a run, through `tf.distribute`.

n replicas compute what one would: replica r takes the rows r * batch // n ... (r + 1) * batch // n
of every global batch, each row draws by its own number, and every sum is taken over all replicas.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.distributed.cluster import Cluster, check_alike
from deeplab_lfov.distributed.devices import lacks_memory, make_visible
from deeplab_lfov.errors import UserError, WorkerGoneError, printable, shortened

_GONE = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError),
    *(tf.errors.InternalError, tf.errors.CancelledError, tf.errors.FailedPreconditionError),
)


class Replicas:
    """The replicas of a run: the devices of this worker, and those of the cluster's others.

    devices: as for `make_visible`; several CPUs are logical devices of the one, to try things out.
    `connect` has to come before TensorFlow computes anything. Raises UserError for devices that are
    not there.
    """

    def __init__(self, cluster: Cluster | None = None, devices: Sequence[str] | None = None):
        self.cluster = cluster or Cluster()
        self.devices, self.device_names = make_visible(devices, self.cluster.on_this_host)
        if self.num_workers > 1 and len(self.devices) > 1 and self.devices[0].startswith("cpu"):
            raise UserError("--devices with several CPUs is for one process; leave out TF_CONFIG")
        self.strategy = tf.distribute.get_strategy()

    def connect(self, facts: Mapping[str, object]) -> None:
        """Join the workers of the cluster, which must have the same facts, by name.

        Raises UserError, in every worker, where one has others, and where this one cannot join.
        """
        if self.num_workers > 1:
            self.strategy = _connect(self.cluster)
            check_alike(self.cluster, facts, self.sum)
        elif len(self.devices) > 1:
            self.strategy = tf.distribute.MirroredStrategy(self.devices)

    @property
    def num_workers(self) -> int:
        """How many processes share the run."""
        return len(self.cluster.workers)

    @property
    def num_replicas(self) -> int:
        """How many devices share each batch, over all workers."""
        return self.num_workers * len(self.devices)

    @property
    def only_gpu(self) -> str | None:
        """TensorFlow's name of the one GPU that is all there is; None if it is otherwise."""
        is_alone = self.num_replicas == 1 and self.devices[0].startswith("gpu")
        return f"/{self.devices[0].upper()}" if is_alone else None

    def __str__(self) -> str:
        """Return the devices, and the number of workers if there are several, in words."""
        names = " + ".join(dict.fromkeys(self.device_names))
        names = f"{len(self.devices)} x {names}" if len(self.devices) > 1 else names
        return names if self.num_workers == 1 else f"{self.num_workers} workers, each {names}"

    def check_batch(self, batch_size: int) -> None:
        """Raise UserError for a pass of fewer rows than replicas."""
        if batch_size < self.num_replicas:
            raise UserError(
                f"--batch_size {batch_size} cannot be shared by {self.num_replicas} devices; it "
                f"counts the crops of all of them: give at least {self.num_replicas}, or fewer "
                "--devices or workers"
            )

    def rows(self, batch_size: int) -> range:
        """Return the rows of every global batch that this worker reads."""
        shares = self._shares(batch_size)
        return range(shares[0].start, shares[-1].stop)

    def train_step(self, solver, batch_size: int) -> Callable[[tf.Tensor, tf.Tensor], float]:
        """Return a function that trains `solver` on this worker's rows of a global batch.

        It takes the worker's images and labels as `Solver.step` does, and returns the loss of the
        global batch. Raises WorkerGoneError.
        """
        if self.num_replicas == 1:
            return lambda images, labels: float(solver.step(images, labels))

        def on_replica(images, labels, first_row) -> tf.Tensor:
            return solver.step_of_replica(images, labels, first_row, batch_size)

        run = tf.function(lambda *parts: self.strategy.run(on_replica, parts))
        shares = self._shares(batch_size)

        def step(images: tf.Tensor, labels: tf.Tensor) -> float:
            with tf.device("CPU:0"):
                here = [slice(s.start - shares[0].start, s.stop - shares[0].start) for s in shares]
                first_rows = [tf.constant(s.start, tf.int64) for s in shares]
                parts = [images[rows] for rows in here], [labels[rows] for rows in here], first_rows
                parts = list(map(self._spread, parts))
            with self._noticing_the_dead():
                return float(self._first(run(*parts)))

        return step

    def sum(self, numbers: np.ndarray) -> np.ndarray:
        """Sum the workers' arrays int64 of one shape; raises WorkerGoneError.

        It waits, for as long as need be, for every worker, which has to call it as often.
        """
        if self.num_workers == 1:
            return numbers
        with tf.device("CPU:0"):
            parts = [tf.constant(numbers * (number == 0)) for number in range(len(self.devices))]
        with self._noticing_the_dead():
            return self._first(self._sum(self._spread(parts))).numpy()

    @tf.function
    def _sum(self, numbers: tf.Tensor) -> tf.Tensor:
        return self.strategy.run(lambda mine: total([mine])[0], (numbers,))

    def _shares(self, batch_size: int) -> list[range]:
        """Return the rows of each replica of this worker."""
        count, first = self.num_replicas, self.cluster.index * len(self.devices)
        return [
            range(number * batch_size // count, (number + 1) * batch_size // count)
            for number in range(first, first + len(self.devices))
        ]

    def _spread(self, values: list[tf.Tensor]) -> tf.distribute.DistributedValues:
        """Give one value to each replica of this worker."""
        first = self.cluster.index * len(self.devices)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: values[context.replica_id_in_sync_group - first]
        )

    @contextmanager
    def _noticing_the_dead(self) -> Iterator[None]:
        """Raise WorkerGoneError where another has gone: there are others, and memory is enough."""
        try:
            yield
        except _GONE as error:
            if self.num_workers == 1 or lacks_memory(error):
                raise
            raise WorkerGoneError from error

    def _first(self, values: tf.distribute.DistributedValues) -> tf.Tensor:
        return self.strategy.experimental_local_results(values)[0]


def _connect(cluster: Cluster) -> tf.distribute.Strategy:
    """Wait for the other workers, and return the strategy that joins all.

    TensorFlow lets no line of Python run meanwhile, so SIGINT is to end the process as SIGTERM
    does; TensorFlow catches that one when it has connected, which is undone.
    """
    words = f"worker   {cluster}; waiting for the others, which Ctrl-C ends"
    if "SLURM_PROCID" in os.environ:
        words += "; `env -u SLURM_PROCID python train.py ...` trains alone in a job step of Slurm's"
    print(printable(words), file=sys.stderr, flush=True)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with quiet_stderr():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        reason = shortened(str(getattr(error, "message", error)).splitlines()[0], 200)
        raise UserError(
            f"worker {cluster}, cannot connect: {reason}; are all workers started, the addresses "
            "in TF_CONFIG right, and their ports free and open?"
        ) from error
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def total(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Sum each tensor over the replicas, all of which have to call this."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return tensors
    here = [tf.identity(tensor) for tensor in tensors]  # on the replica's device
    return context.all_reduce(tf.distribute.ReduceOp.SUM, here)


def copy_here(variable: tf.Variable) -> tf.Variable:
    """Return this worker's first copy of a variable that may have several."""
    return getattr(variable, "values", (variable,))[0]
