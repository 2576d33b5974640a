from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise

IMAGES = np.stack([noise(seed, 64, 64) // (1 + seed % 4) for seed in range(11)])


@pytest.fixture(scope="module")
def content(backbone: Path) -> bytes:
    """Give the committed starter base from the resized image on, as extraction runs it."""
    return graphs.extract(onnx.load(backbone / "backbone.onnx"), "resized", "features").SerializeToString()


@pytest.fixture(scope="module")
def expected(content: bytes) -> npt.NDArray[np.float32]:
    """Give the vector of each image alone, on one thread."""
    run = Session(content, threads=1)
    return np.concatenate([run(image[None]) for image in IMAGES])


def test_images_differ_and_so_do_their_vectors(expected: npt.NDArray[np.float32]) -> None:
    assert (expected.shape, expected.dtype) == ((11, 256), np.float32)
    assert len(np.unique(expected, axis=0)) == 11


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 11])
def test_a_vector_is_bit_identical_whatever_the_batch_size_and_threads(
    content: bytes, expected: npt.NDArray[np.float32], batch_size: int, threads: int
) -> None:
    run = Session(content, threads)
    batches = (IMAGES[start : start + batch_size] for start in range(0, len(IMAGES), batch_size))
    np.testing.assert_array_equal(np.concatenate([run(batch) for batch in batches]), expected)


@pytest.mark.parametrize("seed", range(5))
def test_a_vector_is_bit_identical_whoever_shares_its_batch(
    content: bytes, expected: npt.NDArray[np.float32], seed: int
) -> None:
    chosen = np.random.default_rng(seed).choice(len(IMAGES), 6)
    np.testing.assert_array_equal(Session(content, threads=2)(IMAGES[chosen]), expected[chosen])


def test_one_session_serves_several_threads_at_once(content: bytes, expected: npt.NDArray[np.float32]) -> None:
    run = Session(content, threads=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: run(image[None])[0], list(IMAGES) * 3))
    np.testing.assert_array_equal(np.stack(found), np.tile(expected, (3, 1)))


def test_a_session_takes_a_model_or_its_bytes(content: bytes, expected: npt.NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(Session(onnx.load_from_string(content), threads=1)(IMAGES[:1]), expected[:1])
