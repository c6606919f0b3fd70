"""A miniature VOC 2012 and SBD, with real .mat files, as archives and as folders."""

import functools
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from deeplab_lfov import ImageReader, UserError
from deeplab_lfov.data.image_files import read_mask, write_mask
from deeplab_lfov.data.list_files import list_of
from helpers import ROOT
from util import prepare_voc

IDS = {"train": ["v_1", "v_2"], "val": ["v_3"]}
SBD_IDS = {"train": ["v_1", "s_1"], "val": ["v_3", "s_2"]}
VOC_LABELS = np.array([[1, 255, 0], [1, 2, 0]], np.uint8)
SBD_LABELS = np.array([[3, 3, 0], [3, 0, 20]], np.uint8)
FOLDERS_ALONE = pytest.mark.parametrize("sources", ["folders"], indirect=True)


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
        return voc.parent, sbd.parent
    archives = tmp_path / "VOCtrainval.tar", tmp_path / "benchmark.tgz"
    pack(archives[0], voc.parent)
    pack(archives[1], sbd.parent, "w:gz")
    return archives


def pack(archive, folder, mode="w", **options):
    with tarfile.open(archive, mode, **options) as tar:
        tar.add(folder, folder.name)


@pytest.fixture
def prepare(said, tmp_path):
    return functools.partial(said, "util.prepare_voc", "--output_dir", tmp_path / "out")


@pytest.fixture
def error_of(prepare):
    return functools.partial(prepare, status=2)


def masks_in(folder):
    return sorted((folder / "SegmentationClassAug").iterdir())


def test_the_augmented_set(prepare, sources, tmp_path):
    said, out = prepare(*sources), tmp_path / "out"
    expected = {
        "train_aug": ["s_1", "s_2", "v_1", "v_2"],
        "train": ["v_1", "v_2"],
        "val": ["v_3"],
        "trainval_aug": ["s_1", "s_2", "v_1", "v_2", "v_3"],
    }
    for name, ids in expected.items():
        assert (out / f"ImageSets/Segmentation/{name}.txt").read_text().split() == ids
    assert [path.stem for path in masks_in(out)] == expected["trainval_aug"]
    for path in masks_in(out):
        wanted = VOC_LABELS if path.stem.startswith("v") else SBD_LABELS
        np.testing.assert_array_equal(read_mask(path, 21), wanted)
        with Image.open(path) as picture:
            assert picture.mode == "P"
    assert "5 new masks" in said
    assert "train_aug.txt: 4 pictures, and not the known 10,582" in said


def test_again_after_a_kill_and_a_power_cut_that_left_empty_files(prepare, sources, tmp_path):
    prepare(*sources)
    out = tmp_path / "out"
    kept, emptied = masks_in(out)[-1], [masks_in(out)[0], out / "SBD/s_1.mat"]
    times, before = kept.stat().st_mtime_ns, [path.read_bytes() for path in emptied]
    for path in emptied:
        path.write_bytes(b"")
    (out / "SegmentationClassAug/s_2.png").unlink()
    (out / "SegmentationClassAug/.s_2.99999999.partial.png").write_bytes(b"half")
    said = prepare(*sources)
    assert "2 new masks" in said and said.count("1 new files") == said.count("0 new files") == 1
    assert [path.read_bytes() for path in emptied] == before
    assert kept.stat().st_mtime_ns == times and len(masks_in(out)) == 5
    assert prepare(*sources).count("0 new") == 3


@FOLDERS_ALONE
def test_training_and_evaluation_take_the_folder_as_it_is(prepare, sources, tmp_path):
    prepare(*sources)
    for split, number in {"train": 4, "val": 1}.items():
        data = tmp_path / "out"
        assert len([*ImageReader(data, list_of(data, split)).pictures()]) == number


def test_a_folder_can_be_prepared_in_place(said, sources, tmp_path):
    voc = tmp_path / "VOCdevkit/VOC2012"
    picture = voc / "JPEGImages/v_1.jpg"
    before = picture.stat().st_mtime_ns
    said("util.prepare_voc", voc, sources[1], "--output_dir", voc)
    assert len(masks_in(voc)) == 5 and picture.stat().st_mtime_ns == before


@FOLDERS_ALONE
def test_no_path_in_an_archive_leaves_the_folder(error_of, sources, tmp_path):
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        for name in ("../../JPEGImages/..", "/JPEGImages/../../evil.jpg", "JPEGImages/../e.jpg"):
            tar.add(sources[0] / "VOC2012/JPEGImages/v_1.jpg", name)
        link = tarfile.TarInfo("JPEGImages/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    assert error_of(evil, sources[1])
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before
    assert not list((tmp_path / "out").rglob("link.jpg"))


@FOLDERS_ALONE
def test_sources_that_are_wrong_are_named(error_of, sources, tmp_path):
    voc, sbd = sources
    assert "there is no file or folder nowhere" in error_of("nowhere", sbd)
    assert "none of the files expected" in error_of(sbd, voc)
    (tmp_path / "page.html").write_text("<html>404")
    assert "page.html is damaged or no archive" in error_of(tmp_path / "page.html", sbd)
    os.mkfifo(tmp_path / "a.tar")
    assert "a.tar is a folder, a pipe or a device" in error_of(tmp_path / "a.tar", sbd)
    (sbd / "dataset/cls/s_1.mat").write_bytes(b"MATLAB 5.0 MAT-file, damaged")
    assert "s_1.mat is damaged or no mask" in error_of(*sources)
    (tmp_path / "out/JPEGImages/s_1.jpg").unlink()
    (voc / "VOC2012/JPEGImages/s_1.jpg").unlink()
    assert "1 pictures are in neither source: s_1" in error_of(*sources)


@pytest.mark.parametrize("sources", ["archives"], indirect=True)
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_downloads_are_named(error_of, sources, tmp_path, damage):
    # A plain tar has no checksum over its files.
    for source in sources if damage == "cut" else sources[1:]:
        content = bytearray(source.read_bytes())
        if damage == "cut":
            content = content[: len(content) // 2 + 77]
        else:
            content[len(content) // 2] ^= 255
        damaged = tmp_path / f"download-{source.name}"
        damaged.write_bytes(content)
        error = error_of(*(damaged if each == source else each for each in sources))
        assert f"{damaged.name} is damaged" in error
        assert not list((tmp_path / "out").rglob("*.mat"))


@FOLDERS_ALONE
def test_other_years_in_a_devkit_are_passed_over(prepare, sources, tmp_path):
    year = tmp_path / "VOCdevkit/VOC2007/ImageSets/Segmentation"
    year.mkdir(parents=True)
    (year / "train.txt").write_text("wrong\n")
    prepare(*sources)
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == "v_1\nv_2\n"


@FOLDERS_ALONE
def test_a_file_in_the_place_of_a_folder_is_named(error_of, sources, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/SBD").write_text("")
    assert f"{tmp_path}/out/SBD" in error_of(*sources, "--output_dir", tmp_path / "out")


def test_a_list_of_the_users_is_not_written_over(error_of, sources, tmp_path):
    lists = tmp_path / "out/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train_aug.txt").write_text("mine\n")
    assert "train_aug.txt exists and holds other pictures" in error_of(*sources)
    assert (lists / "train_aug.txt").read_text() == "mine\n"


@pytest.mark.parametrize("packing", ["w:bz2", "w:xz"])
@FOLDERS_ALONE
def test_archives_that_were_packed_anew(prepare, sources, tmp_path, packing):
    with tarfile.open(tmp_path / "voc", packing, format=tarfile.PAX_FORMAT) as archive:
        archive.add(sources[0], "long" * 50 + "/ü")
    prepare(tmp_path / "voc", sources[1])
    assert len(masks_in(tmp_path / "out")) == 5


def test_a_file_is_as_large_as_vocs_or_smaller(error_of, sources, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare_voc, "MOST_OF_A_FILE", 100)
    assert "bytes, and at most 100 are taken" in error_of(*sources)
    assert not list((tmp_path / "out").rglob("*.jpg"))


@FOLDERS_ALONE
def test_a_damaged_header_is_not_taken_for_the_end(error_of, sources, tmp_path):
    voc = tmp_path / "voc.tar"
    pack(voc, sources[0], format=tarfile.GNU_FORMAT)
    content = voc.read_bytes()
    assert content.count(b"v_2.jpg\0") == 1
    voc.write_bytes(content.replace(b"v_2.jpg\0", b"v_9.jpg\0"))
    assert "a header in it is damaged" in error_of(voc, sources[1])
    members = content.rstrip(b"\0")
    voc.write_bytes(members + bytes(-len(members) % tarfile.BLOCKSIZE))
    assert "it ends early" in error_of(voc, sources[1])


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


@FOLDERS_ALONE
def test_a_mask_of_another_size_than_its_picture_is_named(error_of, sources, tmp_path):
    labels = {"Segmentation": np.zeros((3, 2), np.uint8)}
    scipy.io.savemat(sources[1] / "dataset/cls/s_1.mat", {"GTcls": labels})
    error = error_of(*sources)
    assert "must be of one size" in error and f"{tmp_path}/out/SBD/s_1.mat" in error
    assert not (tmp_path / "out/SegmentationClassAug/s_1.png").exists()


@FOLDERS_ALONE
@pytest.mark.parametrize("name", ["../JPEGImages/v_1", "/JPEGImages/v_1", "v_1\x1b[2J", "v.1"])
def test_a_list_cannot_lead_out_of_the_folder(error_of, sources, tmp_path, name):
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text(f"{name}\n")
    assert "train.txt holds what is no name of a picture: " in error_of(*sources)
    assert not list((tmp_path / "out").rglob("v_1.png"))[1:]


@FOLDERS_ALONE
def test_a_name_is_not_taken_without_its_line_end(prepare, sources, tmp_path):
    path = tmp_path / "\x1b[2J.tar"
    pack(path, sources[0])
    with tarfile.open(path, "a") as archive:
        for name in ("JPEGImages/x.jpg\n", "JPEGImages/\x1b[2J.jpg"):
            archive.addfile(tarfile.TarInfo(name))
    assert "\x1b[2J" not in prepare(path, sources[1])
    out = tmp_path / "out"
    assert not list(out.rglob("*x.jpg*")) and not list(out.rglob("*[[]2J*"))


def test_it_runs_from_another_folder(tmp_path):
    command = [sys.executable, ROOT / "util/prepare_voc.py", "--help"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
