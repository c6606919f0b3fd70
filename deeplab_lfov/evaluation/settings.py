"""The settings of evaluate.py: the flags that each of its four tasks has, by name."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from deeplab_lfov.data.list_files import list_of
from deeplab_lfov.data.settings import DataSettings, ListSettings
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.settings import PredictionSettings
from deeplab_lfov.settings import COUNT, FACTOR, NAME, PATH, PIXELS, SWITCH, setting


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(PredictionSettings, ListSettings):
    """What all tasks have: which pictures are segmented, and with which weights."""

    restore_from: str = setting(
        MISSING,
        PATH,
        "weights to measure, or a run's folder; default: the network that comes along",
        names=("--weights_path",),
        metavar="CKPT",
    )
    num_steps: int | None = setting(None, COUNT, "pictures to take; default: the whole list")


@dataclass(frozen=True, kw_only=True)
class TruthSettings(EvaluationSettings, DataSettings):
    """What tasks have that need the masks of the pictures."""

    predicted_truth: bool = setting(
        False,
        SWITCH,
        "take masks that this program predicted for the truth: somebody corrected them",
    )


@dataclass(frozen=True, kw_only=True)
class MaskSettings(EvaluationSettings):
    """What tasks have that can write masks."""

    save_dir: str | None = setting(None, PATH, "folder for the masks, <picture>.png")


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(TruthSettings, MaskSettings):
    """The metric of one network, and what is written of it."""

    json: str | None = setting(None, PATH, "file for the numbers, as fractions", metavar="FILE")
    csv: str | None = setting(
        None, PATH, "file for each picture's classes: share, regions, score, IoU", metavar="FILE"
    )
    report: str | None = setting(
        None, PATH, "folder for index.html: numbers, pictures", metavar="DIR"
    )
    trimap: tuple[int, ...] | None = setting(
        None,
        PIXELS,
        "also the mean IoU within so many pixels of a boundary, such as 1,2,4,8,16",
        metavar="PIXELS",
    )
    bf: bool = setting(
        False, SWITCH, "also BF, the F1 of boundaries within 0.75 %% of the diagonal"
    )
    threshold_curve: str | None = setting(
        None,
        NAME,
        "also its precision, recall, F1 and IoU by --threshold, drawn in threshold_<class>.png",
        metavar="CLASS",
    )
    compare: str | None = setting(
        None,
        PATH,
        "also the change from what --json wrote (.json), or from other weights",
        metavar="OTHER",
    )


@dataclass(frozen=True, kw_only=True)
class CheckpointsSettings(TruthSettings):
    """A table of the metric of all checkpoints in the folder `restore_from`."""

    all_checkpoints: bool = setting(
        True, SWITCH, "instead: all checkpoints in the folder of weights"
    )


@dataclass(frozen=True, kw_only=True)
class SearchSettings(TruthSettings):
    """A search among CRFs: a factor that parameters of `crf` are divided and multiplied by."""

    crf_search: float = setting(
        MISSING,
        FACTOR,
        "instead: each bilateral parameter of the CRF divided by it (2), as is, and times it",
        nargs="?",
        const=2.0,
        metavar="FACTOR",
    )


@dataclass(frozen=True, kw_only=True)
class SubmissionSettings(MaskSettings):
    """Masks for VOC's test server, in a zip file."""

    voc_submission: str = setting(
        MISSING,
        PATH,
        "instead: masks for VOC's test server, of a list without masks",
        metavar="ZIP",
    )


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
    unused = {"threshold", "min_region"} if kind is SearchSettings else set()
    names = {field.name for field in fields(kind)} - unused
    if foreign := sorted(name for name in given.keys() - names if given[name] is not False):
        raise UserError(f"--{task} is done without some flags; leave out --{foreign[0]}")
    given = {name: value for name, value in given.items() if name in names}
    data_dir = given.get("data_dir", EvaluationSettings.data_dir)
    return kind(**{"data_list": list_of(data_dir, "val"), **given})
