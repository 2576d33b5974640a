from pathlib import Path

import numpy as np
import pytest

from tasks.finetuning.mixtures import SHARES, Mixture, choose, compare, describe, interpolate, write


def mixture(share: float, loss: float, accuracy: float = 0.9, difference: float = 0.0, error: float = 0.0) -> Mixture:
    return Mixture(share, loss, accuracy, 1.0, difference, error)


HEAD = mixture(0, 0.5)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([mixture(0.5, 0.4, 0.9, -0.1, 0.02), mixture(1, 0.3, 0.9, -0.2, 0.05)], 1),
        ([mixture(0.5, 0.4, 0.9, -0.1, 0.049)], 0.5),
        ([mixture(0.5, 0.4, 0.9, -0.1, 0.05)], 0),
        ([mixture(0.5, 0.4, 0.89, -0.1, 0.01), mixture(1, 0.45, 0.9, -0.05, 0.01)], 1),
        ([mixture(0.5, 0.5, 0.9, 0, 0)], 0),
        ([mixture(0.5, 0.6, 0.95, 0.1, 0.01)], 0),
        ([mixture(0.5, np.nan, 0.95, np.nan, np.nan)], 0),
    ],
    ids=["least loss", "clearly better", "noise", "less accurate", "the same", "worse", "not finite"],
)
def test_a_mixture_wins_only_if_it_is_better_by_more_than_noise(others: list[Mixture], expected: float) -> None:
    assert choose([HEAD, *others], images=41).share == expected


def test_mixture_0_is_the_start_and_1_the_tuned_network() -> None:
    start, tuned = [np.array([1, 2], np.float32)], [np.array([3, 0], np.float32)]
    shares = [interpolate(start, tuned, share)[0].tolist() for share in (0, 0.5, 1)]
    assert shares == [[1, 2], [2, 1], [3, 0]]
    assert interpolate(start, tuned, 0.1)[0].dtype == np.float32


def test_losses_are_compared_image_by_image() -> None:
    targets = np.array([0, 0, 1, 1])
    better = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]], np.float32)
    worse = np.array([[0.7, 0.3], [0.4, 0.6], [0.3, 0.7], [0.3, 0.7]], np.float32)
    mixtures = compare([worse] + [better] * (len(SHARES) - 1), targets)
    assert [row.share for row in mixtures] == list(SHARES)
    assert (mixtures[0].difference, mixtures[0].standard_error) == (0, 0)
    assert mixtures[1].accuracy == mixtures[0].accuracy == 0.75
    assert mixtures[1].difference == pytest.approx(mixtures[1].log_loss - mixtures[0].log_loss)
    assert 0 < mixtures[1].standard_error < -mixtures[1].difference


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (
            [mixture(0.6, 0.4, 0.95, -0.1, 0.02)],
            (
                "mixture 0.6 won on 1,000 validation images: log loss 0.400, -0.100 ± 0.020 against the head alone; "
                "accuracy 95.0%, +5.0%"
            ),
        ),
        (
            [mixture(0.6, 0.49, 0.9, -0.01, 0.02)],
            (
                "mixture 0, the head alone, won on 1,000 validation images: log loss 0.500, accuracy 90.0%; the next "
                "best, mixture 0.6, differs by -0.010 ± 0.020 and +0.0%"
            ),
        ),
        (
            [HEAD._replace(share=0.6)],
            (
                "mixture 0, the head alone, won on 1,000 validation images: log loss 0.500, accuracy 90.0%; no epoch "
                "of training was better"
            ),
        ),
    ],
    ids=["tuned", "head", "no better epoch"],
)
def test_the_winner_is_said_with_its_margin(others: list[Mixture], expected: str) -> None:
    mixtures = [HEAD, *others]
    assert describe(mixtures, choose(mixtures, 1000), 1000) == expected


def test_the_table_has_a_row_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "mixtures.csv"
    write(path, [HEAD])
    assert path.read_text().splitlines() == [
        "mixture,log_loss,accuracy,temperature,difference,standard_error",
        "0,0.5,0.9,1.0,0.0,0.0",
    ]
