import json

import pytest

from deeplab_lfov import startup
from deeplab_lfov.distributed.cluster import Cluster, find_cluster
from deeplab_lfov.errors import UserError

WORKERS = ["a:2222", "b:2222"]


def environment(cluster, kind="worker", index=0):
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}),
        "SLURM_PROCID": "5",
        "SLURM_STEP_NUM_TASKS": "9",
    }


def test_without_tf_config_a_process_is_alone():
    for alone in ({}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, {"SLURM_STEP_NUM_TASKS": "1"}):
        assert find_cluster(alone) == Cluster() and Cluster().is_chief


def test_workers_are_in_order_with_the_chief_first():
    assert find_cluster(environment({"worker": WORKERS}, index=1)) == (tuple(WORKERS), 1)
    both = {"worker": WORKERS, "chief": ["[::1]:99"]}
    assert find_cluster(environment(both, index=1)) == (("[::1]:99", *WORKERS), 2)
    assert find_cluster(environment(both, "chief")).is_chief


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting property name"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "its task is None None"),
        (environment({"worker": ["a", "b:1"]}), "'a' is not host:port"),
        (environment({"worker": ["a:99999", "b:1"]}), "'a:99999' is not host:port"),
        (environment({"worker": ["a:0", "b:1"]}), "a port from 1 to 65535"),
        (environment({"worker": ["a:1", "a:1"]}), "twice"),
        (environment({"worker": WORKERS}, index=2), "its task is worker 2, which"),
        (environment({"worker": WORKERS}, "chief"), "its task is chief 0, which"),
        (environment({"worker": WORKERS, "ps": ["c:1"]}), "ps, worker, not just"),
    ],
)
def test_a_wrong_tf_config_is_named(text, words):
    text = text["TF_CONFIG"] if isinstance(text, dict) else text
    with pytest.raises(UserError, match="TF_CONFIG is wrong") as error:
        find_cluster({"TF_CONFIG": text})
    assert words in str(error.value) and '"index": 0' in str(error.value)


def test_what_srun_starts_is_a_cluster(monkeypatch):
    slurm = {"PROCID": "2", "JOB_ID": "1007", "STEP_NUM_TASKS": "3"}
    slurm |= {"STEP_NODELIST": "node[1-2]", "STEP_TASKS_PER_NODE": "2,1"}
    slurm = {f"SLURM_{name}": value for name, value in slurm.items()}
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)  # TensorFlow's resolver looks there
    levels = []
    monkeypatch.setattr(startup, "load_tensorflow", levels.append)
    expected = ("node1:12140", "node1:12141", "node2:12140"), 2
    assert find_cluster(slurm) == expected and "node2" in slurm["TF_CONFIG"]
    assert levels == ["3"]  # before the resolver loads TensorFlow as it comes
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    del slurm["TF_CONFIG"]
    with pytest.raises(UserError, match="SLURM_STEP_NODELIST"):
        find_cluster(slurm)
