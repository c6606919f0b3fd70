import resource

import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.training.history import COLUMNS, History
from helpers import BLUE, ORANGE, rows_of_line


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
    assert lines == [",".join(COLUMNS), "10,2.5,0.1,,,", "20,1.5,,,,0.25"]
    again = History(tmp_path, first_step=15)
    assert again.rows == [{"step": 10, "loss": 2.5, "learning_rate": 0.1}]
    assert History(tmp_path, first_step=10).rows == again.rows and again.best() == -1
    assert history.best() == 0.25


def test_tensorboard_sees_scalars_and_the_figure(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "figure.png")
    history = History(tmp_path)
    history.add(10, loss=2.5)
    history.add_figure(tmp_path / "figure.png", 10)
    history.save()
    values = events(tmp_path)
    assert tf.make_ndarray(values[10, "loss"].tensor) == 2.5
    assert values[10, "loss"].metadata.plugin_data.plugin_name == "scalars"
    width, height, png = tf.make_ndarray(values[10, "figure"].tensor)
    assert (width, height) == (b"30", b"20") and png == (tmp_path / "figure.png").read_bytes()


def test_the_curve_shows_the_loss_fall_and_the_mean_iou(tmp_path):
    history = History(tmp_path)
    for step in range(10, 100, 10):
        history.add(step, loss=100 / step)
    history.add(90, val_mean_iou=0.3)
    with Image.open(history.save_curve()) as curve:
        assert curve.size == (800, 450)
        loss, iou = rows_of_line(curve, BLUE), rows_of_line(curve, ORANGE)
    assert max(loss) - min(loss) > 400 and loss[min(loss)] < 150 < 300 < loss[max(loss)]
    assert max(iou) > max(loss) - 5


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
