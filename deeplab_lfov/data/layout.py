"""What a data set's folder has: lists and classes of its own, or VOC's layout."""

from pathlib import Path

from deeplab_lfov.data.list_files import IMAGE_FOLDER, MASK_FOLDERS
from deeplab_lfov.data.palette import NO_PALETTE, VOC_PALETTE, Palette, read_palette

CLASSES = "classes.txt"
"""Names and colours of the classes, as `read_palette` reads them."""

_VOC_LISTS = {
    "train": "ImageSets/Segmentation/train_aug.txt",
    "val": "ImageSets/Segmentation/val.txt",
}


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
