"""The machines of a run, by TF_CONFIG or Slurm's variables, and whether they were started alike."""

import json
import os
import zlib
from collections.abc import Callable, Mapping, MutableMapping
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """The workers' addresses host:port, the chief's first, and which of them this process is."""

    workers: tuple[str, ...] = ("localhost",)
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """True for the one worker that writes and prints."""
        return self.index == 0

    @property
    def on_this_host(self) -> tuple[int, int]:
        """Which of the workers at its host name this is, from 0 on, and how many they are."""
        hosts = [address.rpartition(":")[0] for address in self.workers]
        here = hosts[self.index]
        return hosts[: self.index].count(here), hosts.count(here)

    def __str__(self) -> str:
        """Say which worker this is."""
        return f"{self.index + 1} of {len(self.workers)}, with the chief at {self.workers[0]}"


def find_cluster(environment: MutableMapping[str, str] = os.environ) -> Cluster:
    """Find the cluster that TF_CONFIG describes or srun has started; else it is this process.

    What srun has started is written to TF_CONFIG, which TensorFlow reads. Raises UserError for a
    TF_CONFIG that is malformed, and for variables of Slurm that do not fit together.
    """
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    several = "SLURM_PROCID" in environment and tasks.isdigit() and int(tasks) > 1
    if several and "TF_CONFIG" not in environment:
        environment["TF_CONFIG"] = _from_slurm(environment, int(tasks))
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return Cluster()
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"TF_CONFIG is wrong: {error}; it should look like {EXAMPLE}") from error


def _parse(config: dict) -> Cluster:
    jobs, task = config.get("cluster") or {}, config.get("task") or {}
    if not jobs:
        return Cluster()
    if not set(jobs) <= {"chief", "worker"}:
        raise ValueError(f"its cluster has {', '.join(sorted(jobs))}, not just chief and worker")
    chiefs, workers = (list(jobs.get(job, ())) for job in ("chief", "worker"))
    addresses, kind, index = (*chiefs, *workers), task.get("type"), task.get("index")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(f"{address!r} is not host:port, with a port from 1 to 65535")
    if len(set(addresses)) < len(addresses) or len(chiefs) > 1:
        raise ValueError("an address is there twice, or there are several chiefs")
    if type(index) is not int or index not in range(len(jobs.get(kind, ()))):
        raise ValueError(f"its task is {kind} {index!r}, which its cluster does not have")
    return Cluster(addresses, index + (len(chiefs) if kind == "worker" else 0))


def _from_slurm(environment: MutableMapping[str, str], tasks: int) -> str:
    """Write TF_CONFIG for the tasks of a job step; GPUs are left as Slurm binds them."""
    from deeplab_lfov.startup import load_tensorflow

    load_tensorflow("3")  # nothing loads it before, and chooses otherwise
    import tensorflow as tf

    job = environment.get("SLURM_JOB_ID", "0")
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            # a job's own ports, as several jobs may run on a node
            port_base=12000 + 20 * (int(job) % 1000 if job.isdigit() else 0),
            gpus_per_node=tasks,  # no more than that; 0 is an error in the resolver
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        jobs = resolver.cluster_spec().as_dict()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"Slurm's variables do not describe the job step: {error}") from error
    task = {"type": resolver.task_type, "index": resolver.task_id}
    return json.dumps({"cluster": jobs, "task": task})


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
