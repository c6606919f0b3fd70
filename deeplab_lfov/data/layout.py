"""What a data set's folder has: lists and classes of its own, or VOC's layout."""

from dataclasses import dataclass
from pathlib import Path

from deeplab_lfov.data.list_files import IMAGE_FOLDER, MASK_FOLDERS
from deeplab_lfov.data.palette import NO_PALETTE, VOC_PALETTE, Palette, read_palette
from deeplab_lfov.settings import LABEL, PATH, Settings, setting

CLASSES = "classes.txt"
"""Names and colours of the classes, as `read_palette` reads them."""

_VOC_LISTS = {
    "train": "ImageSets/Segmentation/train_aug.txt",
    "val": "ImageSets/Segmentation/val.txt",
}


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Which list of a data set is taken, and how its masks hold labels.

    ignore_label None stands for 255 that nobody has spoken of.
    """

    data_dir: str = setting(".", PATH, "folder of the data set, that the list's lines start from")
    data_list: str | None = setting(
        None,
        PATH,
        "lines '/image.jpg /mask.png' or VOC ids; looked for as named, then in data_dir; default: "
        "data_dir's own train.txt or val.txt, else VOC's",
    )
    ignore_label: int | None = setting(None, LABEL, "value of the masks' void pixels; default: 255")
    palette: str | None = setting(
        None,
        PATH,
        "file with a class and its colour in each line: road 128 64 128, or voc; default: the data "
        "set's classes.txt, VOC's in VOC's folders",
    )
    class_names: str | None = setting(None, PATH, "file that names a class in each line")


def own_list(data_dir: str | Path, split: str) -> str | None:
    """Return the name of the folder's own list of a split, such as train.txt, if it is there."""
    name = f"{split}.txt"
    return name if Path(data_dir, name).is_file() else None


def list_of(data_dir: str | Path, split: str) -> str:
    """Return the name of the list of a split, train or val: the folder's own, else VOC's."""
    return own_list(data_dir, split) or _VOC_LISTS[split]


def palette_in(data_dir: str | Path, palette: str | Path | None = None) -> Palette:
    """Read the palette that is named, else the folder's classes; in VOC's layout VOC's is known.

    Anywhere else no colour stands for a label. Raises UserError for files of another form.
    """
    folder = Path(data_dir)
    if palette or (folder / CLASSES).is_file():
        return read_palette(palette or folder / CLASSES)
    has_masks = any((folder / masks).is_dir() for masks in MASK_FOLDERS)
    return VOC_PALETTE if has_masks and (folder / IMAGE_FOLDER).is_dir() else NO_PALETTE
