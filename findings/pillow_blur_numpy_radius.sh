#!/usr/bin/env bash
# Pillow 13.0.0: ImageFilter.GaussianBlur and BoxBlur fail on a radius that is a number of NumPy's.
# The docs ask for "a sequence of two numbers, or a single number", and numpy.float64 is a subclass
# of Python's float, but filter() compares the radius with the tuple (0, 0): NumPy makes an array of
# that, and the image is never blurred: ValueError, "The truth value of an array ... is ambiguous".
# The constructors take it; what fails is Image.filter, later. rotate, resize and ImageEnhance take
# such numbers.
#
# A radius drawn by Generator.random() is a Python float, but one out of an array, rng.random(2)[0], and
# any arithmetic with an array, gives a numpy.float64: write float(radius).
#
# Seen with Pillow 13.0.0 and NumPy 2.3.5, Python 3.11. Output:
#     Pillow 13.0.0
#     GaussianBlur(float): blurred
#     GaussianBlur(float64): ValueError
#     GaussianBlur(int64): ValueError
#     BoxBlur(float): blurred
#     BoxBlur(float64): ValueError
#     BoxBlur(int64): ValueError
#     rotate(float64): (11, 11)
#     Brightness(float64): (6, 6, 6)
#     a float64 is a float: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/output"
import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageFilter

print("Pillow", PIL.__version__)
image = Image.new("RGB", (9, 9), (4, 4, 4))
for blur in (ImageFilter.GaussianBlur, ImageFilter.BoxBlur):
    for radius in (1.5, np.float64(1.5), np.int64(2)):
        made = blur(radius)
        try:
            image.filter(made)
            result = "blurred"
        except ValueError:
            result = "ValueError"
        print(f"{blur.__name__}({type(radius).__name__}): {result}")
print(f"rotate(float64): {image.rotate(np.float64(10), expand=True).size}")
print(f"Brightness(float64): {ImageEnhance.Brightness(image).enhance(np.float64(1.5)).getpixel((0, 0))}")
print("a float64 is a float:", isinstance(np.float64(1.5), float))
PYTHON
diff <(sed -n 's/^#     //p' "$0") "$folder/output"
echo "as described"
