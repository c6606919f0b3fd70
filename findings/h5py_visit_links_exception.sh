#!/usr/bin/env bash
# h5py 3.16.0: what a callback of Group.visit_links or visititems_links raises does not come out of
# them. The caller gets a SystemError ("returned a result with an exception set") with the real
# exception as its cause, so that `except ValueError` around the call catches nothing. Group.visit
# and visititems let the same exception through; they were mended in 3.2
# (https://github.com/h5py/h5py/issues/1740), the two for links were not.
#
# Who looks through the links of a file of weights (for one that leads to another file, say) has to
# return what was found: a walk ends at the first value that is not None, and hands it on.
#
# Seen with h5py 3.16.0 (HDF5 2.0.0) and 3.14.0 (HDF5 1.14.6), Python 3.11. Output:
#     h5py 3.16.0
#     visit: LookupError
#     visititems: LookupError
#     visit_links: SystemError, caused by LookupError
#     visititems_links: SystemError, caused by LookupError
#     returned by visititems_links: found link
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet h5py==3.16.0 numpy==2.3.5
"$folder/venv/bin/python" - "$folder/file.h5" <<'PYTHON' | tee "$folder/output"
import sys

import h5py


def refuse(name, *more):
    raise LookupError(name)


print("h5py", h5py.__version__)
with h5py.File(sys.argv[1], "w") as file:
    file["numbers"] = [1.0, 2.0]
    file["link"] = h5py.SoftLink("/numbers")
    for method in ("visit", "visititems", "visit_links", "visititems_links"):
        try:
            getattr(file, method)(refuse)
        except Exception as error:
            cause = f", caused by {type(error.__cause__).__name__}" if error.__cause__ else ""
            print(f"{method}: {type(error).__name__}{cause}")
    soft = lambda name, link: f"found {name}" if isinstance(link, h5py.SoftLink) else None
    print("returned by visititems_links:", file.visititems_links(soft))
PYTHON
diff <(sed -n 's/^#     //p' "$0") "$folder/output"
echo "as described"
