"""DeepLab-LargeFOV in TensorFlow 2: semantic segmentation of pictures (arXiv 1412.7062).

Training:   data_list -> pictures -> augmentation -> image_reader -> training (solver, model,
                      objective) -> snapshots, history, visualize
Evaluation: image_reader -> predictor -> evaluation (metrics, trimap, report); or crf_search,
                      submission
Inference:  pictures -> predictor -> pictures, visualize, score_files
                      predictor: tiles -> model -> segmentation -> crf (permutohedral)
Weights:    weight_files (caffemodel, conversion, py2_pickle) -> checkpoints -> model;
                      keras_vgg16 -> conversion, in util/extract_params.py

`voc` has the class names, colours and the void label; `seeds` makes every random draw a function
of (seed, step), so that `distribution` can share a batch among the `devices` of a `cluster`; `cli`
and `flags` are what the scripts' command lines share; `limits` bounds options; `pipeline` lets the
network run while the last picture is finished. `model` convolves by `convolution` and `winograd`,
and `frozen` is the network as a predictor runs it.
"""

import importlib

_HOME = {
    "CLASS_NAMES": "voc",
    "VOID": "voc",
    "ConfusionMatrix": "metrics",
    "DenseCRF": "crf",
    "DeepLabLFOVModel": "model",
    "ImageReader": "image_reader",
    "Predictor": "predictor",
    "Solver": "solver",
    "UserError": "errors",
    "decode_labels": "visualize",
    "load_model": "checkpoints",
    "load_weights": "checkpoints",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Import a public name on first use, so that importing the package does not load TensorFlow."""
    if name not in _HOME:
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
