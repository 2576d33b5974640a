import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.export.coverage import choose_sets
from tasks.tables.held_out import HeldOut


def held_out(of_class: list[float]) -> HeldOut:
    """Return rows with these probabilities of the image's class; another class has the rest."""
    right = np.array(of_class, np.float32)
    probabilities = np.stack([right, 1 - right], axis=1)
    count = len(of_class)
    return HeldOut([f"{number}" for number in range(count)], ["a"] * count, ["val"] * count, probabilities, ["a", "b"])


@pytest.mark.parametrize(
    ("images", "share", "rank"),
    [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.99, 99), (100, 0.6, 61)],
    ids=["fewest images", "one more", "on the rank", "fewest images for 0.99", "between two ranks"],
)
def test_the_threshold_is_that_of_the_finite_sample_quantile(images: int, share: float, rank: int) -> None:
    of_class = [(number + 1) / 128 for number in np.random.default_rng(0).permutation(images)]
    sets = choose_sets(held_out(of_class), share)
    # The scores 1 - p in ascending order are the probabilities in descending order.
    assert sets["threshold"] == sorted(of_class, reverse=True)[rank - 1]
    assert (sets["share"], sets["images"], sets["reached"]) == (share, images, rank / images)


def test_the_mean_size_counts_every_class_within_the_limit() -> None:
    sets = choose_sets(held_out([0.75] * 15 + [0.5] * 3 + [0.25] * 2), 0.9)
    # rank ceil(21 * 0.9) = 19: 15 and 3 sets with probabilities from 0.25 on have both classes, as the last 2 have
    assert (sets["threshold"], sets["size"], sets["reached"]) == (0.25, 2.0, 1.0)


def test_in_expectation_over_new_images_the_sets_contain_the_right_class_at_the_stated_share() -> None:
    generator = np.random.default_rng(0)
    reached = [
        float((generator.random(2000) >= choose_sets(held_out(list(generator.random(25))), 0.8)["threshold"]).mean())
        for _ in range(400)
    ]
    # Between the share and 1 / (N + 1) above it; three standard errors are 0.012.
    assert 0.8 - 0.012 <= np.mean(reached) <= 0.8 + 1 / 26 + 0.012


@pytest.mark.parametrize(
    ("images", "share", "fewest", "possible"),
    [(8, 0.9, 9, 0.888), (50, 0.99, 99, 0.98), (0, 0.9, 9, 0)],
    ids=["one too few", "half of them", "none"],
)
def test_a_share_that_needs_more_images_is_refused_with_the_figure(
    images: int, share: float, fewest: int, possible: float
) -> None:
    with pytest.raises(GraftError) as caught:
        choose_sets(held_out([0.5] * images), share)
    assert str(caught.value) == (
        f"evaluation.coverage is {share}, for which at least {fewest} images are needed that training left out; there "
        f"are {images}. With {images} images, at most {possible} is possible."
    )
