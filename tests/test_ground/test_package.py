"""The package as a whole: what it offers, and what an installation takes along."""

import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import deeplab_lfov
from deeplab_lfov.version import version_of
from helpers import ROOT


def test_public_names_come_from_their_modules():
    assert len(deeplab_lfov.__all__) == 13
    for name in deeplab_lfov.__all__:
        assert getattr(deeplab_lfov, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trainer'"):
        _ = deeplab_lfov.trainer


def test_the_version_is_pyprojects_in_a_checkout_and_the_metadatas_elsewhere(tmp_path, monkeypatch):
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert f'version = "{deeplab_lfov.__version__}"' in lines
    project = tmp_path / "pyproject.toml"  # of a program that has a copy of the package
    project.write_text('[project]\nname = "other"\nversion = "9"\n')
    monkeypatch.setattr(sys, "path", [])
    assert version_of(project) == "0+unknown"
    installed = tmp_path / "installed/deeplab_lfov-3.2.1.dist-info"
    installed.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: deeplab-lfov\nVersion: 3.2.1\n"
    (installed / "METADATA").write_text(metadata)
    monkeypatch.setattr(sys, "path", [str(installed.parent)])
    assert version_of(project) == version_of(tmp_path / "none.toml") == "3.2.1"


def test_an_installation_takes_every_folder_and_the_template_along(tmp_path):
    """A wheel is a zip file of what an installation would write."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "deeplab_lfov", source / "deeplab_lfov")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", tmp_path, source]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    package = ROOT / "deeplab_lfov"
    others = [*package.rglob("*.html"), *package.rglob("*.js"), *package.glob("pretrained/*")]
    for path in [*package.rglob("*.py"), *others]:
        assert path.relative_to(ROOT).as_posix() in names


@pytest.mark.parametrize("name", ["requirements.txt", "tests/requirements.txt"])
def test_lower_bounds_are_the_versions_that_the_lowest_run_tests(name):
    lock = (ROOT / ".ci/requirements-lowest.lock").read_text().split()
    locked = {name: Version(version) for name, version in (line.split("==") for line in lock)}
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith("-r"):
            required = Requirement(line)
            (lowest,) = (Version(s.version) for s in required.specifier if s.operator == ">=")
            assert locked[required.name] == lowest, line
