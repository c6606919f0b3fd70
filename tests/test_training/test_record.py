"""What a run leaves on disk."""

import numpy as np
import pytest

from deeplab_lfov import DeepLabLFOVModel, Solver
from deeplab_lfov.classes import voc_classes
from deeplab_lfov.training import assembly, record
from deeplab_lfov.training.record import Record
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.snapshots import Snapshots
from deeplab_lfov.training.start import Start
from deeplab_lfov.weights.formats import read_tensors
from helpers import TRAIN, VAL


@pytest.fixture
def kept(shapes, tmp_path, monkeypatch):
    """The record of a run that has not begun, without the pictures that take a while."""
    for name in ("save_rows", "save_curve"):
        monkeypatch.setattr(record, name, lambda path, *_: path.touch())
    monkeypatch.setattr(record.History, "add_figure", lambda *_: None)
    data = {"data_dir": str(shapes), "data_list": TRAIN, "val_list": VAL, "batch_size": 2}
    settings = TrainSettings.complete(data | {"width": 1 / 64}, Start())
    solver = Solver(DeepLabLFOVModel(21, 1 / 64, seed=0), settings)
    variables, classes = solver.model.parameters | solver.variables, voc_classes(21)
    snapshots = Snapshots(tmp_path, variables, classes)
    (tmp_path / "images").mkdir()
    for name in ("incoming-model.ckpt-7.index", "images/.step-1.2147483647.partial.png"):
        (tmp_path / name).touch()
    readers = assembly.make_readers(settings)
    return Record(settings, solver, snapshots, classes, tmp_path / "images", readers)


def names(folder):
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_leftovers_go_and_rows_have_their_epoch(kept, tmp_path):
    assert names(tmp_path) == {"history.csv"} and not names(tmp_path / "images")
    kept.note(6, loss=0.5)
    assert kept.history.rows[0]["epoch"] == 2 and kept.history.rows[0]["loss"] == 0.5


def test_a_step_is_saved_with_its_figure_unless_its_scores_are_ruined(kept, tmp_path):
    batch = next(kept.val_reader.batches(2, (33, 33), 1))
    assert kept.save(1, batch, ["a", "b"]).startswith(f"saved {tmp_path}/model.ckpt-1 and ")
    assert {"model.ckpt-1.index", "history.csv", "history.png"} < names(tmp_path)
    kept.model.parameters["fc8_voc12/b"].assign(np.full(21, np.nan))
    assert kept.save(2, batch, ["a", "b"]) is None
    assert "model.ckpt-2.index" not in names(tmp_path)


def test_a_validation_keeps_the_best_and_can_be_stopped(kept, tmp_path):
    assert kept.validate(3, lambda: True) is None
    assert "saved" in kept.validate(3, lambda: False)
    assert kept.validate(3, lambda: False) is None  # once is enough
    (row,) = kept.history.rows
    assert read_tensors(tmp_path / "model.ckpt-best")["global_step"] == 0
    assert kept.history.best() == row["val_mean_iou"]
    row["val_mean_iou"] = 1.0  # which no validation exceeds
    assert "saved" not in kept.validate(4, lambda: False)


def test_a_figure_has_the_rows_that_the_chief_of_several_workers_reads(kept, monkeypatch):
    shown = []
    monkeypatch.setattr(record, "save_rows", lambda *given: shown.append(given))
    kept.save(1, next(kept.val_reader.batches(1, (33, 33), 1)), ["a", "b"])
    (_, images, *_, names) = shown[0]
    assert len(images) == 1 and names == ["a"]
