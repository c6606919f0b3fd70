"""DeepLab-LargeFOV in TensorFlow 2: semantic segmentation of pictures (arXiv 1412.7062).

Training:   data_list -> pictures -> transforms -> image_reader -> solver (model, objective)
                      -> checkpoints, visualize
Evaluation: image_reader -> predictor (model, objective) -> metrics
Inference:  pictures -> predictor -> pictures, visualize

`voc` has the class names, colours and the void label; `seeds` makes every random draw a function
of (seed, step); `cli` is what the three scripts' command lines share.
"""

import importlib

_HOME = {
    "CLASS_NAMES": "voc",
    "VOID": "voc",
    "ConfusionMatrix": "metrics",
    "DeepLabLFOVModel": "model",
    "ImageReader": "image_reader",
    "Predictor": "predictor",
    "Solver": "solver",
    "UserError": "errors",
    "decode_labels": "visualize",
    "load_model": "checkpoints",
    "load_weights": "checkpoints",
}

_MODULES = {
    *_HOME.values(),
    *("caffemodel", "class_weights", "conversion", "data_list", "dataset_check", "files"),
    *("history", "keras_vgg16", "palette", "pictures", "settings", "snapshots", "training"),
    *("transforms", "weight_files"),
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Import a public name on first use, so that importing the package does not load TensorFlow."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
