"""DeepLab-LargeFOV in TensorFlow 2: semantic segmentation of pictures (arXiv 1412.7062).

ground       voc, errors, settings, files, seeds, preprocess, overlap, console, startup, version
data         lists, picture and mask files -> training batches, or pictures one by one
network      the table of layers, the walk over it, its grid and its loss
crf          the dense CRF
distributed  the machines and devices that share a run
solver       one training step: gradients, update rules, rate policies
weights      files of every known format -> networks
inference    pictures -> masks, probabilities and scores
evaluation   masks -> numbers, reports, submissions
training     a run: its settings, its loop, what it leaves on disk
cli          what the scripts' command lines share

Each folder imports only those above it; pyproject.toml holds that order.
"""

import importlib

_HOME = {
    "CLASS_NAMES": "voc",
    "VOID": "voc",
    "ConfusionMatrix": "evaluation.metrics",
    "DenseCRF": "crf.dense_crf",
    "DeepLabLFOVModel": "network.model",
    "ImageReader": "data.image_reader",
    "Predictor": "inference.predictor",
    "Solver": "solver.solver",
    "SolverSettings": "solver.settings",
    "UserError": "errors",
    "decode_labels": "inference.visualize",
    "load_model": "weights.checkpoints",
    "load_weights": "weights.checkpoints",
}

_WITHOUT_TENSORFLOW = {"classes", "crf.dense_crf", "errors", "evaluation.metrics", "voc"}
_WITHOUT_TENSORFLOW |= {"inference.visualize", "solver.settings", "version"}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Import a public name on first use, so that importing the package does not load TensorFlow.

    That is loaded without its chatter, as by the commands, if the program has not loaded it.
    """
    home = "version" if name == "__version__" else _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home not in _WITHOUT_TENSORFLOW:
        importlib.import_module(f"{__name__}.startup").load_tensorflow_once()
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
