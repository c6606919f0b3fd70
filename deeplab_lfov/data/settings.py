"""The settings that say which data set is taken, shared by train.py and evaluate.py."""

from dataclasses import dataclass

from deeplab_lfov.settings import LABEL, PATH, Settings, setting


@dataclass(frozen=True, kw_only=True)
class ListSettings(Settings):
    """Which list of a data set is taken."""

    data_dir: str = setting(".", PATH, "folder of the data set, that the list's lines start from")
    data_list: str | None = setting(
        None,
        PATH,
        "lines '/image.jpg /mask.png' or VOC ids; looked for as named, then in data_dir; default: "
        "data_dir's own train.txt or val.txt, else VOC's",
    )


@dataclass(frozen=True, kw_only=True)
class DataSettings(ListSettings):
    """Which list of a data set is taken, and how its masks hold labels.

    ignore_label None stands for 255 that nobody has spoken of.
    """

    ignore_label: int | None = setting(None, LABEL, "value of the masks' void pixels; default: 255")
    palette: str | None = setting(
        None,
        PATH,
        "file with a class and its colour in each line: road 128 64 128, or voc; default: the data "
        "set's classes.txt, VOC's in VOC's folders",
    )
    class_names: str | None = setting(None, PATH, "file that names a class in each line")
