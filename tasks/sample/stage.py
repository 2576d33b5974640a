"""The UCI handwritten digits that scikit-learn bundles, as image files.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998 (CC BY 4.0).
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tasks.common.files import atomic_folder

LEVELS = 16


def write_sample(out: Path) -> None:
    """Write the 1,797 digits of 8x8 pixels as `out`/CLASS/NUMBER.png; their 17 grey levels fill 0 to 255."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / LEVELS)).astype(np.uint8)
    with atomic_folder(out) as folder:
        for name in digits.target_names:
            (folder / str(name)).mkdir()
        for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            Image.fromarray(image).save(folder / str(label) / f"{number:04d}.png")
