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
Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def base(backbone: Path) -> bytes:
    """Return the starter base from the resized image on, as extraction runs it."""
    base = graphs.extract(onnx.load(backbone / "backbone.onnx"), "resized", "features")
    return bytes(base.SerializeToString())


@pytest.fixture(scope="module")
def expected(base: bytes) -> Vectors:
    """Return the vectors of the images, each computed alone on one thread."""
    session = Session(base, threads=1)
    return np.concatenate([session(image[None]) for image in IMAGES])


def test_different_images_have_different_vectors(expected: Vectors) -> None:
    assert expected.shape == (11, 256)
    assert expected.dtype == np.float32
    assert len(np.unique(expected, axis=0)) == 11


@pytest.mark.parametrize("threads", [1, 2, 4], ids="threads={}".format)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 11], ids="batch={}".format)
def test_vectors_are_bit_equal_for_every_batch_size_and_number_of_threads(
    base: bytes, expected: Vectors, batch_size: int, threads: int
) -> None:
    session = Session(base, threads)
    batches = (IMAGES[start : start + batch_size] for start in range(0, len(IMAGES), batch_size))
    np.testing.assert_array_equal(np.concatenate([session(batch) for batch in batches]), expected)


@pytest.mark.parametrize("seed", range(5), ids="seed={}".format)
def test_a_vector_does_not_depend_on_the_other_images_of_its_batch(base: bytes, expected: Vectors, seed: int) -> None:
    rows = np.random.default_rng(seed).choice(len(IMAGES), 6)
    np.testing.assert_array_equal(Session(base, threads=2)(IMAGES[rows]), expected[rows])


def test_several_threads_share_one_session(base: bytes, expected: Vectors) -> None:
    session = Session(base, threads=1)
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda image: session(image[None])[0], list(IMAGES) * 3))
    np.testing.assert_array_equal(np.stack(vectors), np.tile(expected, (3, 1)))


def test_a_session_accepts_a_model_or_its_bytes(base: bytes, expected: Vectors) -> None:
    np.testing.assert_array_equal(Session(onnx.load_from_string(base), threads=1)(IMAGES[:1]), expected[:1])
