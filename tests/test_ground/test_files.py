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


@pytest.mark.parametrize(
    ("paths", "depths", "names"),
    [
        (["a/x.jpg", "b/y.jpg"], [], ["x", "y"]),
        (["a/x.jpg", "b/x.jpg", "b/y.jpg"], [], ["a/x", "b/x", "y"]),
        (["b/x.jpg", "aa/x.jpg", "a/x.jpg"], [2, 2, 2], ["b/x", "aa/x", "a/x"]),
        (["a/x.jpg", "a/x.png", "a/x.jpg.png"], [], ["x.jpg", "x.png", "x.jpg.png"]),
        (["a/x.jpg", "a/x.jpg", "b/c/x.png"], [], ["a/x", "a/x", "c/x"]),
        (["p/a/x.jpg", "q/a/x.jpg", "q/b/x.jpg"], [2, 2, 1], ["p/a/x", "q/a/x", "x"]),
        (["/x.jpg", "/a/x.jpg", "/a/../b/x"], [], ["x", "a/x", "b/x"]),
        ([], [], []),
    ],
)
def test_names_of_outputs_follow_from_paths_and_never_change_places(paths, depths, names):
    there = list(map(Path, paths))
    assert files.output_names(there, depths) == list(map(Path, names))
    backwards = files.output_names(there[::-1], depths[::-1])
    assert backwards == list(map(Path, names[::-1]))


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
