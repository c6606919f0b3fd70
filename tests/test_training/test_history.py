import csv
import resource
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.training.history import COLUMNS, History
from helpers import DATA


def events(folder):
    values = {}
    for path in sorted((folder / "events").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                values[event.step, value.tag] = value
    return values


def test_rows_are_written_and_read_again(tmp_path):
    history = History(tmp_path)
    history.add(10, loss=2.5, learning_rate=0.1)
    history.add(20, loss=1.5)
    history.add(20, val_mean_iou=0.25)
    history.save()
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == [",".join(COLUMNS), "10,2.5,0.1,,,,,", "20,1.5,,,,0.25,,"]
    again = History(tmp_path, first_step=15)
    assert again.rows == [{"step": 10, "loss": 2.5, "learning_rate": 0.1}]
    assert History(tmp_path, first_step=10).rows == again.rows and again.best() == -1
    assert history.best() == 0.25


def test_validations_have_the_iou_of_each_class(tmp_path):
    history = History(tmp_path, class_names=["road", "a, b"])
    history.add(5, ious={"road": 0.5, "a, b": 0.25}, val_mean_iou=0.375, time="2026-01-31 12:00:00")
    history.add(9, ious={"road": 0.75}, val_mean_iou=0.75, epoch=1.5)
    history.save()
    with (tmp_path / "history.csv").open(newline="") as file:
        first, last = csv.DictReader(file)
    assert first["time"] == "2026-01-31 12:00:00" and first["IoU a, b"] == "0.25"
    assert last["epoch"] == "1.5" and last["IoU road"] == "0.75" and last["IoU a, b"] == ""
    assert history.last_ious() == {"road": 0.75}
    again = History(tmp_path, 9, ["road", "a, b"])
    assert again.rows == history.rows and again.best() == 0.75
    assert tf.make_ndarray(events(tmp_path)[9, "IoU/road"].tensor) == 0.75


def test_a_history_of_version_1_0_gets_the_columns_it_lacks(tmp_path):
    before = (DATA / "version_1_0/adam/history.csv").read_text().splitlines()
    (tmp_path / "history.csv").write_text("\n".join(before) + "\n")
    History(tmp_path, 12, ["road"])
    after = (tmp_path / "history.csv").read_text().splitlines()
    assert after[0] == before[0] + ",time,epoch,IoU road"
    assert after[1:] == [f"{line},,," for line in before[1:]]


def test_tensorboard_sees_scalars_and_the_figure(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "figure.png")
    history = History(tmp_path)
    history.add(10, loss=2.5)
    history.add_figure(tmp_path / "figure.png", 10)
    history.add_text("settings", "    --width 1", 0)
    history.save()
    values = events(tmp_path)
    assert tf.make_ndarray(values[10, "loss"].tensor) == 2.5
    assert values[10, "loss"].metadata.plugin_data.plugin_name == "scalars"
    width, height, png = tf.make_ndarray(values[10, "figure"].tensor)
    assert values[0, "settings"].metadata.plugin_data.plugin_name == "text"
    assert tf.make_ndarray(values[0, "settings"].tensor).tolist() == [b"    --width 1"]
    assert (width, height) == (b"30", b"20") and png == (tmp_path / "figure.png").read_bytes()


def test_a_foreign_file_is_not_taken_for_the_history(tmp_path):
    for content in (b"step,loss\nfirst,bad\n", b"epoch,loss\n1,0.5\n", b"\xff\xfe", b""):
        (tmp_path / "history.csv").write_bytes(content)
        with pytest.raises(UserError, match="not this program's history"):
            History(tmp_path)


def test_a_folder_without_room_for_events_is_a_user_error(tmp_path):
    (tmp_path / "events").touch()
    with pytest.raises(UserError, match="events"):
        History(tmp_path)


def test_a_disk_that_fills_between_saves_is_a_user_error(tmp_path):
    history, (soft, hard) = History(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(UserError, match="cannot write to .*events: "):
            history.add(1, loss=0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_history_is_written_in_utf_8_whatever_the_locale_says(tmp_path, monkeypatch):
    opened, given = Path.open, {}
    monkeypatch.setattr(Path, "open", lambda *a, **more: given.update(more) or opened(*a, **more))
    History(tmp_path)
    assert given["encoding"] == "utf-8"
