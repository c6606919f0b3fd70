import os
from pathlib import Path

import pytest

from deeplab_lfov import UserError
from deeplab_lfov.data import list_files
from deeplab_lfov.data.list_files import pictures_in, read_lines, read_list


@pytest.fixture
def folder(tmp_path):
    names = ["JPEGImages/a.jpg", "JPEGImages/b c.jpg", "JPEGImages/ü.jpg", "m/a.png", "m/b c.png"]
    names += ["SegmentationClass/a.png", "SegmentationClass/ü.png", "SegmentationClassAug/ü.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read(folder, text, **options):
    (folder / "list.txt").write_bytes(text.encode())
    samples = read_list(folder, "list.txt", **options)
    return [tuple(path and str(path.relative_to(folder)) for path in s) for s in samples]


@pytest.mark.parametrize(
    "line",
    ["/JPEGImages/a.jpg /m/a.png", "JPEGImages/a.jpg\tm/a.png\r", "  JPEGImages/a.jpg   /m/a.png "],
)
def test_a_line_is_a_picture_and_a_mask(folder, line):
    assert read(folder, line) == [("JPEGImages/a.jpg", "m/a.png")]


def test_names_with_spaces_are_split_where_both_are_files(folder):
    assert read(folder, "/JPEGImages/b c.jpg /m/b c.png") == [("JPEGImages/b c.jpg", "m/b c.png")]
    assert read(folder, "/JPEGImages/b c.jpg", masks=False) == [("JPEGImages/b c.jpg", None)]


def test_a_bare_id_is_looked_up_in_vocs_folders_augmented_masks_first(folder):
    assert read(folder, "a\nü\n") == [
        ("JPEGImages/a.jpg", "SegmentationClass/a.png"),
        ("JPEGImages/ü.jpg", "SegmentationClassAug/ü.png"),
    ]


def test_blank_lines_comments_and_byte_order_marks_are_skipped(folder):
    assert len(read(folder, "\ufeff# two\r\n\r\na\r\n  \nü")) == 2


def test_absolute_paths_outside_data_dir(folder, tmp_path_factory):
    (folder / "list.txt").write_text(f"{folder}/JPEGImages/a.jpg {folder}/m/a.png")
    other = tmp_path_factory.mktemp("other")
    assert read_list(other, folder / "list.txt")[0].name == "a"


def test_missing_files_are_counted_and_the_first_named(folder):
    lines = [f"/x{number}.jpg /m/a.png" for number in range(5)]
    with pytest.raises(UserError, match=r"5 of the 12 files .*x0.jpg, .*x2.jpg and 2 more"):
        read(folder, "\n".join([*lines, "a"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("# only\n", "empty"), ("JPEGImages/a.jpg", "line 1 .* names no mask")],
)
def test_lists_that_cannot_be_trained_on(folder, text, message):
    with pytest.raises(UserError, match=message):
        read(folder, text)


def test_missing_list_and_folder(folder):
    with pytest.raises(UserError, match="no list nowhere.txt"):
        read_list(folder, "nowhere.txt")
    with pytest.raises(UserError, match="no folder"):
        read_list(folder / "nowhere", "list.txt")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_list(folder, "bytes.txt")


def test_pictures_in_a_folder_are_files_with_such_names(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").mkdir()
    (tmp_path / "e.jpg").symlink_to("/dev/zero")
    (tmp_path / "f.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "g.jpg").symlink_to(tmp_path / "g.jpg")
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpg", "b.PNG", "f.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\0b.jpg m/a.png", "line 1 of .*list.txt holds a zero byte"),
        (
            "JPEGImages/a.jpg m/a.png\n" + "a " * 500_000,
            "line 2 of .*list.txt has over 10,000 char",
        ),
        ("/" + "a" * 5000 + ".jpg m/a.png", "1 of the 2 files in the list .* are missing"),
    ],
)
def test_lines_that_name_no_files(folder, text, message):
    with pytest.raises(UserError, match=message):
        read(folder, text)


def test_a_pipe_is_a_missing_file(folder):
    os.mkfifo(folder / "pipe.jpg")
    with pytest.raises(UserError, match="1 of the 2 files .* are missing: .*pipe.jpg"):
        read(folder, "pipe.jpg m/a.png")


def test_a_list_that_is_too_large_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setattr(list_files, "_LARGEST", 1000)
    (tmp_path / "large.txt").write_text("# \n" * 334)
    for path in (tmp_path / "large.txt", Path("/dev/zero")):
        with pytest.raises(UserError, match=f"{path} has over 1,000 bytes"):
            read_lines(path)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(UserError, match=f"no list {tmp_path}, .*util/prepare_data.py make one"):
        read_list(tmp_path, tmp_path)


def test_pictures_of_folders_below_are_found_and_circles_are_not_walked(tmp_path):
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "b/again").symlink_to(tmp_path)
    for name in ("a.jpg", "b/c/d.PNG", "b/notes.txt"):
        (tmp_path / name).touch()
    assert pictures_in(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b/c/d.PNG"]


def test_links_are_followed_once_and_hidden_files_passed_over(tmp_path):
    for name in ("in/a.jpg", "in/b/c.jpg", "in/._a.jpg", "in/.old/d.jpg", "far/e.jpg", "in.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name, target in (("x", "far"), ("y", "far"), ("z", "in/b"), ("up", ".")):
        (tmp_path / "in" / name).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "far/back").symlink_to(tmp_path / "in", target_is_directory=True)
    found = [str(path.relative_to(tmp_path / "in")) for path in pictures_in(tmp_path / "in")]
    assert found == ["a.jpg", "b/c.jpg", "x/e.jpg"]
