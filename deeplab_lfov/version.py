"""The version, of which pyproject.toml is the one source."""

import importlib.metadata
import re
from pathlib import Path


def version_of(project: Path) -> str:
    """Read the version from a checkout's pyproject.toml, or where there is none as installed.

    `0+unknown` where the package is neither: a copy of its folder alone.
    """
    if project.is_file():
        text = project.read_text(encoding="utf-8")
        if match := re.search(r'^name = "deeplab-lfov"\nversion = "(.+)"$', text, re.MULTILINE):
            return match[1]
    try:
        return importlib.metadata.version("deeplab-lfov")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


__version__ = version_of(Path(__file__).parents[1] / "pyproject.toml")
