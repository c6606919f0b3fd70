"""A miniature VOC 2012 and SBD, with real .mat files, as archives and as folders."""

import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.data.image_files import read_mask, write_mask
from helpers import ROOT
from util import prepare_voc

IDS = {"train": ["v_1", "v_2"], "val": ["v_3"]}
SBD_IDS = {"train": ["v_1", "s_1"], "val": ["v_3", "s_2"]}
VOC_LABELS = np.array([[1, 255, 0], [1, 2, 0]], np.uint8)
SBD_LABELS = np.array([[3, 3, 0], [3, 0, 20]], np.uint8)


@pytest.fixture(params=["archives", "folders"])
def sources(tmp_path, request):
    voc, sbd = tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "benchmark_RELEASE" / "dataset"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "Annotations"):
        (voc / folder).mkdir(parents=True)
    for folder in ("cls", "img", "inst"):
        (sbd / folder).mkdir(parents=True)
    for split, ids in IDS.items():
        (voc / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(ids) + "\n")
        (sbd / f"{split}.txt").write_text("\n".join(SBD_IDS[split]) + "\n")
        for name in ids:
            write_mask(voc / f"SegmentationClass/{name}.png", VOC_LABELS)
        for name in SBD_IDS[split]:
            ground_truth = {"Segmentation": SBD_LABELS, "CategoriesPresent": np.array([[3], [20]])}
            scipy.io.savemat(sbd / f"cls/{name}.mat", {"GTcls": ground_truth}, do_compression=True)
    for name in ("v_1", "v_2", "v_3", "s_1"):
        Image.new("RGB", (3, 2)).save(voc / f"JPEGImages/{name}.jpg")
    Image.new("RGB", (3, 2)).save(sbd / "img/s_2.jpg")
    if request.param == "folders":
        return tmp_path / "VOCdevkit", tmp_path / "benchmark_RELEASE"
    archives = tmp_path / "VOCtrainval.tar", tmp_path / "benchmark.tgz"
    for archive, mode, folder in zip(
        archives, ("w", "w:gz"), (voc.parent, sbd.parent), strict=True
    ):
        with tarfile.open(archive, mode) as tar:
            tar.add(folder, folder.name)
    return archives


@pytest.fixture
def prepare(script, tmp_path):
    return lambda *sources: script("util.prepare_voc", *sources, "--output_dir", tmp_path / "out")


def test_the_augmented_set(prepare, sources, tmp_path):
    result, out = prepare(*sources), tmp_path / "out"
    assert result.status == 0, result.err
    expected = {
        "train_aug": ["s_1", "s_2", "v_1", "v_2"],
        "train": ["v_1", "v_2"],
        "val": ["v_3"],
        "trainval_aug": ["s_1", "s_2", "v_1", "v_2", "v_3"],
    }
    for name, ids in expected.items():
        assert (out / f"ImageSets/Segmentation/{name}.txt").read_text().split() == ids
    masks = {path.stem: path for path in (out / "SegmentationClassAug").iterdir()}
    assert sorted(masks) == expected["trainval_aug"]
    for name, path in masks.items():
        wanted = VOC_LABELS if name.startswith("v") else SBD_LABELS
        np.testing.assert_array_equal(read_mask(path, 21), wanted)
        with Image.open(path) as picture:
            assert picture.mode == "P"
    assert "5 new masks" in result.out
    assert "train_aug.txt: 4 pictures, and not the known 10,582" in result.out


def test_again_and_after_a_kill(prepare, sources, tmp_path):
    assert prepare(*sources).status == 0
    out = tmp_path / "out"
    kept = out / "SegmentationClassAug/s_1.png"
    before = kept.stat().st_mtime_ns
    (out / "SegmentationClassAug/s_2.png").unlink()
    (out / "SegmentationClassAug/.s_2.99999999.partial.png").write_bytes(b"half")
    result = prepare(*sources)
    assert result.status == 0 and "1 new masks" in result.out and "0 new files" in result.out
    assert kept.stat().st_mtime_ns == before
    assert len(list((out / "SegmentationClassAug").iterdir())) == 5
    assert prepare(*sources).out.count("0 new") == 3


def test_again_after_a_power_cut_that_left_empty_files(prepare, sources, tmp_path):
    assert prepare(*sources).status == 0
    left = [tmp_path / "out" / name for name in ("SegmentationClassAug/s_1.png", "SBD/s_1.mat")]
    before = [path.read_bytes() for path in left]
    for path in left:
        path.write_bytes(b"")
    result = prepare(*sources)
    assert result.status == 0 and "1 new masks" in result.out and "1 new files" in result.out
    assert [path.read_bytes() for path in left] == before


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_train_and_evaluate_take_the_folder_as_it_is(prepare, sources, script, tmp_path):
    assert prepare(*sources).status == 0
    data = ["--data_dir", tmp_path / "out"]
    small = ["--width", 1 / 16, "--input_size", "9,9", "--batch_size", 2, "--num_steps", 1]
    result = script("train", *data, *small, "--snapshot_dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert "4 pictures with masks" in result.out
    result = script("evaluate", *data, "--restore_from", tmp_path / "run")
    assert result.status == 0 and "1 pictures" in result.out


def test_a_folder_can_be_prepared_in_place(script, sources, tmp_path):
    voc, sbd = tmp_path / "VOCdevkit/VOC2012", sources[1]
    picture = voc / "JPEGImages/v_1.jpg"
    before = picture.stat().st_mtime_ns
    result = script("util.prepare_voc", voc, sbd, "--output_dir", voc)
    assert result.status == 0, result.err
    assert len(list((voc / "SegmentationClassAug").iterdir())) == 5
    assert picture.stat().st_mtime_ns == before


def test_no_path_in_an_archive_leaves_the_folder(prepare, sources, tmp_path):
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        for name in ("../../JPEGImages/..", "/JPEGImages/../../evil.jpg", "JPEGImages/../e.jpg"):
            tar.add(tmp_path / "VOCdevkit/VOC2012/JPEGImages/v_1.jpg", name)
        link = tarfile.TarInfo("JPEGImages/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    assert prepare(evil, sources[1]).status == 2
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before
    assert not list((tmp_path / "out").rglob("link.jpg"))


def test_sources_that_are_none_are_named(prepare, sources, tmp_path):
    voc, sbd = sources
    assert "there is no file or folder nowhere" in prepare("nowhere", sbd).err
    assert "none of the files expected" in prepare(sbd, voc).err
    (tmp_path / "page.html").write_text("<html>404")
    assert "page.html is damaged or no archive" in prepare(tmp_path / "page.html", sbd).err


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_files_that_are_missing_or_damaged_are_named(prepare, sources, tmp_path):
    (sources[1] / "dataset/cls/s_1.mat").write_bytes(b"MATLAB 5.0 MAT-file, damaged")
    result = prepare(*sources)
    assert result.status == 2 and "s_1.mat is damaged or no mask" in result.err
    (tmp_path / "out/JPEGImages/s_1.jpg").unlink()
    (sources[0] / "VOC2012/JPEGImages/s_1.jpg").unlink()
    assert "1 pictures are in neither source: s_1" in prepare(*sources).err


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_downloads_are_named(prepare, sources, tmp_path, damage):
    if sources[0].is_dir():
        pytest.skip("folders are not packed")
    for number, source in enumerate(sources):
        content = bytearray(source.read_bytes())
        if damage == "cut":
            content = content[: len(content) // 2 + 77]
        elif source.suffix == ".tgz":
            content[len(content) // 2] ^= 255
        else:
            continue  # a plain tar has no checksum over its files
        damaged = tmp_path / f"damaged-{source.name}"
        damaged.write_bytes(content)
        pair = [*sources]
        pair[number] = damaged
        result = prepare(*pair)
        assert result.status == 2, result.out
        error = result.err.rpartition("error: ")[2]
        assert damaged.name in error and "damaged" in error.replace(damaged.name, "")
        assert not list((tmp_path / "out").rglob("*.mat"))


def test_other_years_in_a_devkit_are_passed_over(prepare, sources, tmp_path):
    year = tmp_path / "VOCdevkit/VOC2007/ImageSets/Segmentation"
    year.mkdir(parents=True)
    (year / "train.txt").write_text("wrong\n")
    result = prepare(tmp_path / "VOCdevkit", sources[1])
    assert result.status == 0, result.err
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == "v_1\nv_2\n"


def test_a_list_of_the_users_is_not_written_over(prepare, sources, tmp_path):
    lists = tmp_path / "out/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train_aug.txt").write_text("mine\n")
    result = prepare(*sources)
    assert result.status == 2 and "train_aug.txt exists and holds other pictures" in result.err
    assert (lists / "train_aug.txt").read_text() == "mine\n"


@pytest.mark.parametrize("packing", ["w:bz2", "w:xz"])
@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_archives_that_were_packed_anew(prepare, sources, tmp_path, packing):
    with tarfile.open(tmp_path / "voc", packing, format=tarfile.PAX_FORMAT) as archive:
        archive.add(sources[0], "long" * 50 + "/ü")
    assert prepare(tmp_path / "voc", sources[1]).status == 0
    assert len(list((tmp_path / "out/SegmentationClassAug").iterdir())) == 5


def test_a_file_is_as_large_as_vocs_or_smaller(prepare, sources, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare_voc, "MOST_OF_A_FILE", 100)
    result = prepare(*sources)
    assert result.status == 2
    assert "bytes, and at most 100 are taken" in result.err
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_a_pipe_is_no_archive(prepare, tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    assert "a.tar is a folder, a pipe or a device" in prepare(tmp_path / "a.tar", tmp_path).err


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_a_damaged_header_is_not_taken_for_the_end(prepare, sources, tmp_path):
    voc = tmp_path / "voc.tar"
    with tarfile.open(voc, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(sources[0], sources[0].name)
    content = voc.read_bytes()
    assert content.count(b"v_2.jpg\0") == 1
    voc.write_bytes(content.replace(b"v_2.jpg\0", b"v_9.jpg\0"))
    result = prepare(voc, sources[1])
    assert result.status == 2 and "a header in it is damaged" in result.err
    members = content.rstrip(b"\0")
    voc.write_bytes(members + bytes(-len(members) % tarfile.BLOCKSIZE))
    assert "it ends early" in prepare(voc, sources[1]).err


def end_worker(folder, name):
    os._exit(1)


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_a_worker_that_ends_is_one_line(prepare, sources, monkeypatch):
    monkeypatch.setattr(prepare_voc, "_write_mask", end_worker)
    result = prepare(*sources)
    assert result.status == 2 and "a process that read " in result.err.rpartition("error: ")[2]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_labels_of_sbd(tmp_path, dtype):
    labels, cells = np.resize(SBD_LABELS, (40, 30)), np.empty((20, 1), object)
    for number in range(20):
        cells[number, 0] = scipy.sparse.csc_matrix(np.eye(3) * number)
    truth = {"Boundaries": cells, "Segmentation": labels.astype(dtype)}
    scipy.io.savemat(tmp_path / "a.mat", {"other": np.zeros((3, 3)), "GTcls": truth})
    found = prepare_voc.read_sbd_labels(tmp_path / "a.mat")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"GTcls": {"Segmentation": np.zeros((0, 0))}}, r"its sides are \(0, 0\)"),
        ({"GTcls": {"Segmentation": np.zeros((1, 2, 3))}}, r"its sides are \(1, 2, 3\)"),
        ({"GTcls": {"Segmentation": np.full((2, 3), 255)}}, "not all from 0 to 20"),
        ({"GTcls": {"Segmentation": np.full((2, 3), "a")}}, "no mask of SBD"),
        ({"GTcls": {"Segmentation": {"a": 1}}}, "no mask of SBD"),
        ({"GTcls": {"Other": np.zeros((2, 3))}}, "damaged .*Segmentation"),
        ({"other": np.zeros((2, 3))}, "damaged .*GTcls"),
    ],
)
def test_other_mat_files_are_refused(tmp_path, content, message):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content)
    with pytest.raises(UserError, match=f"{path} is .*{message}") as error:
        prepare_voc.read_sbd_labels(path)
    assert error.value.path == path


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_a_mask_of_another_size_than_its_picture_is_named(prepare, sources, tmp_path):
    labels = {"Segmentation": np.zeros((3, 2), np.uint8)}
    scipy.io.savemat(sources[1] / "dataset/cls/s_1.mat", {"GTcls": labels})
    result = prepare(*sources)
    assert result.status == 2 and "must be of one size" in result.err
    assert f"{tmp_path}/out/SBD/s_1.mat" in result.err.rpartition("error: ")[2]
    assert not (tmp_path / "out/SegmentationClassAug/s_1.png").exists()


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
@pytest.mark.parametrize("name", ["../JPEGImages/v_1", "/JPEGImages/v_1", "v_1\x1b[2J", "v.1"])
def test_a_list_cannot_lead_out_of_the_folder(prepare, sources, tmp_path, name):
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text(f"{name}\n")
    result = prepare(*sources)
    assert result.status == 2
    assert "train.txt holds what is no name of a picture: " in result.err
    assert not list((tmp_path / "out").rglob("v_1.png"))[1:]


@pytest.mark.parametrize("sources", ["folders"], indirect=True)
def test_a_name_is_not_taken_without_its_line_end(prepare, sources, tmp_path):
    path = tmp_path / "\x1b[2J.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(sources[0], sources[0].name)
        for name in ("JPEGImages/x.jpg\n", "JPEGImages/\x1b[2J.jpg"):
            archive.addfile(tarfile.TarInfo(name))
    result = prepare(path, sources[1])
    assert result.status == 0, result.err
    assert not list((tmp_path / "out").rglob("*x.jpg*")) and "\x1b[2J" not in result.out
    assert not list((tmp_path / "out").rglob("*[[]2J*"))


def test_it_runs_from_another_folder(tmp_path):
    command = [sys.executable, ROOT / "util/prepare_voc.py", "--help"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
