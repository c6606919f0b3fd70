import pytest
import tensorflow as tf

from deeplab_lfov.distributed import devices
from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError

HERE = Cluster(("a:1", "b:1", "a:2", "a:3"), 2)


@pytest.fixture
def gpus(monkeypatch):
    """Let the host have four GPUs, and tell which of them are shown to TensorFlow."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    there = ["A", "B", "C", "D"]
    shown = list(there)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: there)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda chosen, kind: shown.__setitem__(slice(9), chosen)
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": f"X{gpu}"}
    )
    return shown


def test_workers_count_those_on_their_host():
    counts = [HERE._replace(index=index).on_this_host for index in range(4)]
    assert counts == [(0, 3), (0, 1), (1, 3), (2, 3)]
    assert Cluster().on_this_host == (0, 1)


@pytest.mark.parametrize(("index", "expected"), [(0, "A"), (2, "B"), (3, "CD"), (1, "ABCD")])
def test_workers_on_a_host_take_different_gpus(gpus, index, expected):
    replicas = Replicas(HERE._replace(index=index))
    assert gpus == list(expected)
    assert replicas.devices == [f"gpu:{number}" for number in range(len(expected))]
    assert replicas.device_names == [f"X{gpu}" for gpu in expected]


def test_of_all_gpus_a_process_may_take_just_one(gpus):
    assert devices.make_visible(None, most=1) == (["gpu:0"], ["XA"]) and gpus == ["A"]


def test_one_gpu_alone_is_known_by_name(gpus):
    assert Replicas(devices=["gpu:2"]).only_gpu == "/GPU:0"  # of those that are shown
    assert Replicas(devices=["gpu:1", "gpu:2"]).only_gpu is None
    assert Replicas(HERE._replace(index=2)).only_gpu is None


def test_gpus_that_are_named_or_shown_are_a_workers_own(gpus, monkeypatch):
    Replicas(HERE, ["gpu:3"])
    assert gpus == ["D"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert len(Replicas(HERE).devices) == 4


def test_more_workers_than_gpus_are_refused(gpus):
    many = Cluster(tuple(f"a:{port}" for port in range(1, 6)))
    with pytest.raises(UserError, match="has 4 GPUs and TF_CONFIG 5 workers on it"):
        Replicas(many)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), UserError),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when"), UserError),
        (tf.errors.NotFoundError(None, None, "No algorithm worked!"), UserError),
        (tf.errors.InternalError(None, None, "CUDNN_STATUS_ALLOC_FAILED"), UserError),
        (tf.errors.NotFoundError(None, None, "no such file"), tf.errors.NotFoundError),
    ],
)
def test_lack_of_memory_has_many_names(error, expected):
    explaining = devices.explaining_lack_of_memory(lambda: "shrink it", " for it")
    with pytest.raises(expected, match="^out of memory for it; shrink it|such file"), explaining:
        raise error
