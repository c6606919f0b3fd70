import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.training.snapshots import Run, Snapshots, find_run
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in


@pytest.fixture
def variables():
    return {"a/w": tf.Variable([1.0, 2.0]), "global_step": tf.Variable(3, dtype=tf.int64)}


@pytest.fixture
def snapshots(tmp_path, variables):
    return Snapshots(tmp_path, variables, Classes(("x", "y")), max_to_keep=2, settings={"seed": 5})


def test_a_run_is_found_and_restored(tmp_path, snapshots, variables):
    snapshots.save(3)
    variables["a/w"].assign([9.0, 9.0])
    run = find_run(tmp_path)
    assert run.path == tmp_path / "model.ckpt-3" and run.settings == {"seed": 5}
    snapshots.restore(run)
    np.testing.assert_array_equal(variables["a/w"], [1, 2])


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, snapshots):
    for step in (3, 4):
        snapshots.save(step)
    (tmp_path / "model.ckpt-4.index").write_bytes(b"half")
    assert find_run(tmp_path).path == tmp_path / "model.ckpt-3"
    (tmp_path / "model.ckpt-3.index").write_bytes(b"half")
    with pytest.raises(UserError, match="no run to resume.*damaged"):
        find_run(tmp_path)


def test_leftovers_are_cleared_and_older_checkpoints_go(tmp_path, variables, snapshots):
    for step in (1, 2):
        snapshots.save(step)
    (tmp_path / "model.ckpt-3.data-00000-of-00001.tempstate77").touch()
    (tmp_path / "incoming-model.ckpt-best.data-00000-of-00001").touch()
    (tmp_path / "incoming-model.ckpt-4.index").touch()
    (tmp_path / "checkpoint.tmp0123456789abcdef").touch()
    (tmp_path / "model.ckpt-4.data-00000-of-00001").touch()
    later = Snapshots(tmp_path, variables, Classes(("x",)), max_to_keep=2)
    later.restore(find_run(tmp_path))
    later.clear()
    later.save(3)
    assert tf.train.latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-3")
    assert [path.name for path in checkpoints_in(tmp_path)] == ["model.ckpt-2", "model.ckpt-3"]
    assert len(list(tmp_path.iterdir())) == 5  # two checkpoints and TensorFlow's index of them


def test_an_older_checkpoint_goes_when_the_new_one_is_on_the_disk(tmp_path, variables, monkeypatch):
    synced, fsync, unlink = [], os.fsync, Path.unlink

    def noted_fsync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    def checked_unlink(path, missing_ok=False):
        if path.exists():
            new = [tmp_path / f"incoming-model.ckpt-2{end}" for end in suffixes]
            assert synced == [*new, tmp_path]
        unlink(path, missing_ok=missing_ok)

    suffixes = (".data-00000-of-00001", ".index")
    snapshots = Snapshots(tmp_path, variables, Classes(("x",)), max_to_keep=1)
    snapshots.save(1)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "unlink", checked_unlink)
    snapshots.save(2)
    assert checkpoints_in(tmp_path) == [tmp_path / "model.ckpt-2"]


def test_a_run_of_another_network_is_refused(tmp_path, snapshots):
    snapshots.save(3)
    other = Snapshots(tmp_path, {"b/w": tf.Variable([0.0])}, Classes(("x",)))
    with pytest.raises(UserError, match="b/w is missing"):
        other.restore(find_run(tmp_path))


@pytest.mark.parametrize("settings", ["{", "3", b"\xff"])
def test_settings_that_are_damaged_are_a_user_error(settings):
    run = Run(Path("model.ckpt-3"), {"settings": np.array(settings, object)})
    with pytest.raises(UserError, match="settings of the run in model.ckpt-3 are damaged"):
        run.settings
    with pytest.raises(UserError, match="no checkpoint of a run; start one --restore_from it"):
        run._replace(tensors={}).settings


def test_the_best_replaces_the_best_and_is_no_step(tmp_path, variables, snapshots):
    best = snapshots.save_best()
    variables["a/w"].assign([5.0, 6.0])
    assert snapshots.save_best() == best == tmp_path / "model.ckpt-best"
    np.testing.assert_array_equal(read_tensors(best)["a/w"], [5, 6])
    assert not list(tmp_path.glob("incoming*")) and not (tmp_path / "checkpoint").exists()
    with pytest.raises(UserError, match="no run to resume"):
        find_run(tmp_path)


@pytest.mark.parametrize("cut_after", ["both written", "old index gone", "data renamed"])
def test_a_change_of_the_best_that_was_cut_short_is_finished_or_undone(
    tmp_path, variables, snapshots, cut_after
):
    snapshots.save(1)
    snapshots.save_best()
    old = {path: path.read_bytes() for path in tmp_path.glob("model.ckpt-best*")}
    variables["a/w"].assign([5.0, 6.0])
    snapshots.save_best()
    index, data = (tmp_path / f"model.ckpt-best.{s}" for s in ("index", "data-00000-of-00001"))
    shutil.move(index, tmp_path / f"incoming-{index.name}")
    if cut_after != "data renamed":
        shutil.move(data, tmp_path / f"incoming-{data.name}")
        data.write_bytes(old[data])
    if cut_after == "both written":
        index.write_bytes(old[index])
    snapshots.clear()
    best = [1, 2] if cut_after == "both written" else [5, 6]  # what is written may not be on disk
    np.testing.assert_array_equal(read_tensors(tmp_path / "model.ckpt-best")["a/w"], best)
    assert not list(tmp_path.glob("incoming*"))


def test_places_that_cannot_be_written_are_user_errors(tmp_path, variables):
    (tmp_path / "file").touch()
    snapshots = Snapshots(tmp_path / "file", variables, Classes(("x",)))
    for save in (lambda: snapshots.save(1), snapshots.save_best):
        with pytest.raises(UserError, match=r"cannot write .*file/model.ckpt-"):
            save()


def test_a_newer_checkpoint_that_is_damaged_is_passed_over_aloud(tmp_path, snapshots, capsys):
    for step in (1, 2):
        snapshots.save(step)
    (tmp_path / "model.ckpt-2.data-00000-of-00001").unlink()
    assert find_run(tmp_path).path.name == "model.ckpt-1"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: going on from {tmp_path}/model.ckpt-1: ")
    assert "model.ckpt-2 has lost its data" in line
