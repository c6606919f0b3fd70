"""The settings of evaluate.py: its flags by name, and which of them exclude each other."""

import dataclasses
import json
from dataclasses import dataclass

from deeplab_lfov.data.list_files import list_of
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.settings import PredictionSettings

_OF_THE_METRIC = ("json", "report", "trimap", "bf", "compare")


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(PredictionSettings):
    """What evaluate.py measures, on which list and with which weights.

    data_list: None for the data set's own val.txt, or VOC's val list where it has none. num_steps:
    how many pictures to take, None for all. ignore_label: None stands for 255 that nobody has
    spoken of. compare: what --json wrote, or other weights. all_checkpoints, crf_search, a factor,
    and voc_submission, a zip file, are done instead of the metric.
    Raises UserError for settings that exclude each other.
    """

    data_dir: str = "."
    data_list: str | None = None
    ignore_label: int | None = None
    palette: str | None = None
    class_names: str | None = None
    restore_from: str
    num_steps: int | None = None
    save_dir: str | None = None
    json: str | None = None
    report: str | None = None
    trimap: tuple[int, ...] | None = None
    bf: bool = False
    compare: str | None = None
    all_checkpoints: bool = False
    crf_search: float | None = None
    voc_submission: str | None = None
    deterministic: bool = False

    def __post_init__(self):
        if self.data_list is None:
            object.__setattr__(self, "data_list", list_of(self.data_dir, "val"))  # it is frozen
        metric = {name for name in _OF_THE_METRIC if getattr(self, name)}
        others = (*_OF_THE_METRIC, "save_dir", "crf_search", "voc_submission")
        others = [name for name in others if getattr(self, name)]
        if self.all_checkpoints and others:
            raise UserError(f"--all_checkpoints only prints its table; leave out --{others[0]}")
        if self.voc_submission and (metric or self.crf_search):
            flag = "crf_search" if self.crf_search else min(metric)
            raise UserError(f"--voc_submission measures nothing; leave out --{flag}")
        truth = [
            n for n in ("ignore_label", "palette", "class_names") if getattr(self, n) is not None
        ]
        if self.voc_submission and truth:
            raise UserError(f"--voc_submission needs no truth and no names; leave out --{truth[0]}")
        if self.crf_search and (metric or self.save_dir):
            flag = min(metric or {"save_dir"})
            raise UserError(f"--crf_search only prints its table; leave out --{flag}")
        if self.crf_search and self.tile:
            raise UserError(
                "--crf_search and --tile exclude each other, as --crf and --tile do; use --max_side"
            )

    def decisive(self) -> dict[str, object]:
        """Return, as JSON has them, the settings that workers have in common.

        Where files are may differ between machines; what is in them is compared instead.
        """
        places = {"data_dir", "data_list", "palette", "restore_from", "save_dir"}
        values = {n: v for n, v in dataclasses.asdict(self).items() if n not in places}
        return json.loads(json.dumps(values))
