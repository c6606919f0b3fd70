"""Which pictures of the val list a run's figures show: the same three from the first one on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file

FILE = "val_pictures.txt"
_MARK = "# the pictures of the val list that val-*.png show"


class ValPictures:
    """The best, the median and the worst picture of the first validation, kept in a file.

    `numbers` are their places in the list. A resumed run goes on with those of its file, unless the
    list has others in their places. Raises UserError when the file cannot be written, or is none
    of a run's.
    """

    def __init__(self, folder: Path, samples: Sequence[Sample]):
        self._path, self._samples = folder / FILE, samples
        if self._path.exists() and not is_choice(self._path):
            raise UserError(f"{self._path} exists and is of no run; give another --save_dir")
        self.numbers = self._read()

    def choose(self, ious: Sequence[float]) -> None:
        """Choose by the pictures' mean IoU, unless they were chosen before; nan is passed over."""
        if self.numbers:
            return
        ranked = [n for n in np.argsort(ious, kind="stable").tolist() if not np.isnan(ious[n])]
        places = dict.fromkeys((len(ranked) - 1, len(ranked) // 2, 0) if ranked else ())
        self.numbers = [ranked[place] for place in places]
        with whole_file(self._path) as partial:
            lines = [_MARK, *map(self._line, self.numbers)]
            partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")

    def _line(self, number: int) -> str:
        return f"{number} {self._samples[number].image.name}"

    def _read(self) -> list[int]:
        try:
            _, *lines = self._path.read_text(encoding="utf-8").splitlines()
            numbers = [int(line.split(" ", 1)[0]) for line in lines]
            fit = all(0 <= n < len(self._samples) for n in numbers)
            return numbers if fit and lines == list(map(self._line, numbers)) else []
        except (OSError, ValueError):  # there is none, or it is damaged
            return []


def is_choice(path: Path) -> bool:
    """Tell whether a file is one that a run has left."""
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK.encode()
