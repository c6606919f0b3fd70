"""What evaluate.py and inference.py say of a network before they use it."""

import sys
from pathlib import Path

from deeplab_lfov.errors import few, printable
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.network.arithmetic import device_lines
from deeplab_lfov.weights.formats import origin_of


def print_network(predictor: Predictor, path: str | Path, device: str, precision: str) -> None:
    """Print the network of a path, the options and the device; warn of one never trained."""
    print(printable(f"network  {predictor.model}, from {origin_of(path)}"))
    if predictor.about:
        print(printable(f"         {predictor.about}"))
    if str(predictor):
        print(f"views    {predictor}")
    print("\n".join(device_lines(device, precision)))
    if predictor.untrained:
        names = few(predictor.untrained)
        line = f"warning: {names} of {path} are random, and so is what it finds: train it first"
        print(printable(f"{line} (train.py --restore_from {path})"), file=sys.stderr)
