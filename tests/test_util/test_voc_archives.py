"""Archives made to harm, and the formats that people pack in."""

import gzip
import io
import os
import tarfile
import tracemalloc

import pytest

from deeplab_lfov import UserError
from helpers import under_memory_limit
from util import voc_archives
from util.voc_archives import files_in


def member(name, content=b"", kind=tarfile.REGTYPE, size=None, packing=tarfile.GNU_FORMAT, **pax):
    """A member's header and content as tarfile writes them, with another size in the header."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = kind, len(content) if size is None else size, pax
    return info.tobuf(packing) + content + bytes(-len(content) % 512)


def write(path, *members, end=bytes(1024)):
    content = b"".join(members) + end
    path.write_bytes(gzip.compress(content) if path.suffix == ".tgz" else content)
    return path


def read(path):
    return [(name, read()) for name, read in files_in(path)]


@pytest.mark.parametrize("packing", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_files_of_every_usual_archive(tmp_path, packing, mode):
    long = "/".join(["folder" * 5] * 4)  # too long for a plain header, in two parts it fits
    names = ["a.jpg", f"{long}/b.jpg"]
    if packing != tarfile.USTAR_FORMAT:
        names += ["ü.jpg", f"{long * 3}/c.jpg"]
    with tarfile.open(tmp_path / "archive", mode, format=packing) as archive:
        archive.add(tmp_path, "folder", recursive=False)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 600
            archive.addfile(info, io.BytesIO(name[:1].encode().ljust(600, b".")))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd" * 20
        if packing != tarfile.USTAR_FORMAT:
            archive.addfile(link)
    expected = [(name, name[:1].encode().ljust(600, b".")) for name in names]
    assert read(tmp_path / "archive") == expected
    assert [name for name, _ in files_in(tmp_path / "archive")] == names  # none of them read


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("a.jpg", size=2**60)], "a.jpg has 1,152,921,504,606,846,976 bytes"),
        ([member("a.jpg", size=2**33)], "a.jpg has 8,589,934,592 bytes, and at most 16,777,216"),
        ([member("a.jpg", size=-1024)], "a.jpg has -1,024 bytes"),
        ([member("x", size=2**60, kind=b"x")], "a header has .* at most 65,536"),
        ([member("x", size=10**6, kind=b"L")], "a header has 1,000,000"),
        ([member("a.jpg", kind=tarfile.GNUTYPE_SPARSE)], "a.jpg|holes"),
        ([member("x", b"22 GNU.sparse.major=1\n", kind=b"x"), member("a.jpg")], "holes"),
        ([member("x", b"19 size=9999999999\n", kind=b"x"), member("a.jpg")], "has 9,999,999,999"),
        ([member("x", b"11 size=-9\n", kind=b"x"), member("a.jpg")], "a.jpg has -1 bytes"),
        ([member("x", b"0 size=9\n", kind=b"x"), member("a.jpg")], "damaged"),
        ([member("x", b"-9 size=9\n", kind=b"x"), member("a.jpg")], "damaged"),
        ([member("x", b"9" * 60_000, kind=b"x"), member("a.jpg")], "damaged"),
        ([member("a.jpg", b"content", size=5000)], "ends early"),
        ([member("a.jpg")[:300]], "ends early"),
        ([member("a.jpg"), bytes(1024), member("b.jpg")], "there is more behind its end"),
        ([b"x" * 512], "bad checksum|invalid"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, suffix, members, message):
    whole = "early" not in message
    path = write(tmp_path / f"a{suffix}", *members, end=bytes(1024) if whole else b"")
    with pytest.raises(tarfile.TarError, match=message):
        read(path)


def test_an_archive_that_ends_at_a_member_is_cut(tmp_path):
    with pytest.raises(tarfile.ReadError, match="ends early"):
        read(write(tmp_path / "a.tar", member("a.jpg", b"content"), end=b""))


def test_headers_without_end(tmp_path, monkeypatch):
    """Long names, each behind the one before, and members without content."""
    monkeypatch.setattr(voc_archives, "MOST_MEMBERS", 5000)
    for kind in (b"L", b"x", b"g", b"0", b"5"):
        path = write(tmp_path / "a.tgz", member("a", kind=kind) * 5000)
        with pytest.raises(tarfile.ReadError, match="over 5,000 members"):
            read(path)


def test_what_global_headers_say_takes_no_memory(tmp_path):
    """Sixteen megabytes of keys that nobody needs, and one path that is needed."""
    line = b"21 %06d=1234567890\n"
    headers = [
        member("x", b"".join(line % (1000 * i + j) for j in range(1000)), kind=b"g")
        for i in range(800)
    ]
    path = write(tmp_path / "a.tar", *headers, member("x", b"14 path=b.jpg\n", b"x"), member("a"))
    tracemalloc.start()
    assert read(path) == [("b.jpg", b"")]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_what_is_passed_over_counts_and_takes_no_memory(tmp_path):
    """A quarter of a megabyte of file, a quarter of a gigabyte of zeros."""
    path = tmp_path / "a.tgz"
    with gzip.open(path, "wb") as file:
        file.write(member("zeros.bin", size=1 << 28))
        for _ in range(64):
            file.write(bytes(1 << 22))
        file.write(bytes(1024))
    code = """
        import resource, sys
        from pathlib import Path
        from util import voc_archives
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print([name for name, _ in voc_archives.files_in(Path(sys.argv[1]))])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000)
        voc_archives.MOST_IN_ALL = 1 << 27
        try:
            list(voc_archives.files_in(Path(sys.argv[1])))
        except voc_archives.tarfile.ReadError as error:
            print(error)
    """
    listed, small, error = under_memory_limit(2, code, path).splitlines()
    assert listed == "['zeros.bin']" and small == "True"
    assert error == "zeros.bin has 268,435,456 bytes, and at most 134,217,728 are read"


def test_zeros_behind_the_end_count(tmp_path, monkeypatch):
    monkeypatch.setattr(voc_archives, "MOST_IN_ALL", 1 << 24)
    path = write(tmp_path / "a.tgz", member("a.jpg", b"content"), end=bytes(1 << 25))
    with pytest.raises(tarfile.ReadError, match="it unpacks to over 16,777,216 bytes"):
        read(path)


def test_a_file_in_a_folder_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(voc_archives, "MOST_OF_A_FILE", 1000)
    (tmp_path / "a.jpg").write_bytes(bytes(1001))
    os.mkfifo(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").symlink_to("/dev/zero")
    found = dict(files_in(tmp_path))
    assert list(found) == [f"{tmp_path.name}/a.jpg"]
    with pytest.raises(tarfile.ReadError, match="a.jpg has 1,001 bytes"):
        found[f"{tmp_path.name}/a.jpg"]()


def test_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(UserError, match="a.tar is a folder, a pipe or a device"):
        read(tmp_path / "a.tar")
