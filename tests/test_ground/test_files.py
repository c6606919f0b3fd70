import os
from pathlib import Path

import pytest

from deeplab_lfov import UserError, files


def test_a_whole_file_appears_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    with files.whole_file(path) as partial:
        partial.write_text("new")
        assert partial.suffix == ".txt" and not path.exists()
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.whole_file(path) as partial:
        partial.write_text("half")
        1 / 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old"


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    for check in (files.writable_folder, lambda path: files.writable_json(path / "a.json", {"k"})):
        with pytest.raises(UserError, match="file/deeper"):
            check(tmp_path / "file" / "deeper")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "mine.json").write_text('{"pictures": [], "more": 1}')
    names = "", "file", "list.json", "mine.json", "/dev/null"
    for taken in (tmp_path / name for name in names):
        with pytest.raises(UserError, match="exists and is no earlier output"):
            files.writable_json(taken, {"pictures", "software"})
    with pytest.raises(UserError, match="cannot write"), files.whole_file(tmp_path / "no/a") as new:
        new.touch()


def test_writable_folder_creates_it_and_leaves_nothing(tmp_path):
    folder = files.writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and not list(folder.iterdir())


def test_leftovers_of_dead_processes_are_cleared_and_nothing_else(tmp_path):
    dead = 2**31 - 1  # above the number of any process
    kept = [f".a.{os.getppid()}.partial.zip", ".a.1.partial.zip", "a.zip", ".a.partial.zip"]
    gone = [f".a.{dead}.partial.zip", f".a.{dead}0.partial", f".a.{os.getpid()}.partial.zip"]
    for name in [*kept, *gone]:
        (tmp_path / name).touch()
    files.clear_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_distinct_stems_number_repeats():
    paths = map(Path, ["a/x.jpg", "b/x.jpg", "b/x_2.jpg", "c/x_2.jpg", "x.png", "x_4.jpg", "y.jpg"])
    stems = ["x", "x_3", "x_2", "x_2_2", "x_5", "x_4", "y"]
    assert list(files.distinct_stems(paths)) == stems


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done, rename, fsync = [], Path.replace, os.fsync

    def noted_fsync(descriptor):
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().suffix}")
        fsync(descriptor)

    def noted_rename(source, target):
        done.append(f"rename to {target.suffix}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    with files.whole_file(tmp_path / "a.csv", durable=True) as partial:
        partial.touch()
    assert done == ["sync .csv", "rename to .csv", "sync "]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    with files.whole_file(tmp_path / f"{'ä' * 125}.json") as partial:
        partial.touch()
    assert len(list(tmp_path.iterdir())) == 1
