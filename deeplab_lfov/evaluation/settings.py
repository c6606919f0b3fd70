"""The settings of evaluate.py: the flags that each of its four tasks has, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from deeplab_lfov.data.list_files import list_of
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.settings import PredictionSettings


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(PredictionSettings):
    """What all tasks have: which pictures are segmented, and with which weights.

    num_steps: how many pictures of the list to take, None for all.
    """

    data_dir: str = "."
    data_list: str
    restore_from: str
    num_steps: int | None = None
    deterministic: bool = False


@dataclass(frozen=True, kw_only=True)
class TruthSettings(EvaluationSettings):
    """How masks hold labels, for tasks that need them.

    ignore_label: None stands for 255 that nobody has spoken of.
    """

    ignore_label: int | None = None
    palette: str | None = None
    class_names: str | None = None


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(TruthSettings):
    """The metric of one network, and what is written of it.

    compare: what --json wrote, or other weights.
    """

    save_dir: str | None = None
    json: str | None = None
    report: str | None = None
    trimap: tuple[int, ...] | None = None
    bf: bool = False
    compare: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointsSettings(TruthSettings):
    """A table of the metric of all checkpoints in the folder `restore_from`."""

    all_checkpoints: bool = True


@dataclass(frozen=True, kw_only=True)
class SearchSettings(TruthSettings):
    """A search among CRFs: a factor that parameters of `crf` are divided and multiplied by."""

    crf_search: float


@dataclass(frozen=True, kw_only=True)
class SubmissionSettings(EvaluationSettings):
    """Masks for VOC's test server, in a zip file."""

    voc_submission: str
    save_dir: str | None = None


TASKS = {
    "all_checkpoints": CheckpointsSettings,
    "crf_search": SearchSettings,
    "voc_submission": SubmissionSettings,
}
"""The settings of the tasks that a flag asks for instead of the metric, by the flag's name."""


def settings_of_task(given: Mapping[str, object]) -> EvaluationSettings:
    """Make the settings of the task that flags ask for; the list is by default the data set's own.

    Raises UserError for a flag that the task does not have.
    """
    task = next((name for name in TASKS if given.get(name)), None)
    kind = TASKS.get(task, MeasureSettings)
    names = {field.name for field in fields(kind)}
    if foreign := sorted(name for name in given.keys() - names if given[name] is not False):
        raise UserError(f"--{task} is done without some flags; leave out --{foreign[0]}")
    given = {name: value for name, value in given.items() if name in names}
    data_dir = given.get("data_dir", EvaluationSettings.data_dir)
    return kind(**{"data_list": list_of(data_dir, "val"), **given})
