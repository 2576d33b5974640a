"""Sets of classes that contain the right one in a stated share of pictures: split conformal prediction.

The score of an image is 1 - p of its class, the plainest one (Sadinle, Lei and Wasserman 2019, "Least Ambiguous
Set-Valued Classifiers With Bounded Error Levels", JASA 114; Angelopoulos and Bates 2021, arXiv 2107.07511, section 1).
For N images that the model had not seen, the score that ceil((N + 1) * share) of them do not exceed is the limit; the
set of another image has all classes whose score is within it, and contains the right one with at least that
probability, over images like the N (Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World").
"""

from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from tasks.common.errors import GraftError
from tasks.common.text import count
from tasks.tables.held_out import HeldOut


def choose_sets(table: HeldOut, share: float) -> dict[str, Any]:
    """Return ModelMetadata.coverage: the set of an image has the classes of at least the probability `threshold`.

    Args:
        table: predictions for images that the model had not seen.
        share: of the images whose sets contain the right class, in (0, 1).

    Raises:
        GraftError: There are too few images for that share.
    """
    images = len(table.labels)
    # The decimals as they are written: in binary, 0.9 * 10 may exceed 9.
    rank = ceil((images + 1) * Fraction(str(share)))
    if rank > images:
        rest = 1 - Fraction(str(share))
        # Rounded down to three decimals, so that the advice is within reach.
        possible = floor(Fraction(1000 * images, images + 1)) / 1000
        message = (
            f"evaluation.coverage is {share:g}, for which at least {ceil(1 / rest) - 1:,} images are needed that "
            f"training left out; there are {images:,}. With {count(images, 'image')}, at most {possible:g} is possible."
        )
        raise GraftError(message)
    position = {name: index for index, name in enumerate(table.classes)}
    of_class = table.probabilities[np.arange(images), [position[label] for label in table.labels]]
    threshold = np.sort(of_class)[images - rank]
    return {
        "share": share,
        "threshold": float(threshold),
        "reached": float((of_class >= threshold).mean()),
        "size": float((table.probabilities >= threshold).sum(axis=1).mean()),
        "images": images,
    }
