"""What the scripts' command lines share; only scripts import it."""

import importlib.util
import sys

if missing := [name for name in ("numpy", "PIL", "tqdm") if not importlib.util.find_spec(name)]:
    sys.stderr.write(
        f"error: {sys.executable} has no {', '.join(missing)}; use .venv/bin/python, which `make` "
        "sets up, or pip install -r requirements.txt\n"
    )
    sys.exit(2)
