import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.common.params import Params
from tasks.images.decoding import decode
from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.resize import Resize, read_crop_share, resize_from_json, resize_graph, resize_of
from tasks.onnx.resizing import read_preprocessing
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise

Pixels = npt.NDArray[np.uint8]

SIDE = st.integers(1, 90)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
BLUE = (10, 20, 200)
FITS = {
    "stretch, bicubic": Resize(32, interpolation="bicubic"),
    "stretch of the centre": Resize(32, crop_share=0.7),
    "crop": Resize(32, "crop"),
    "crop of a share, bicubic": Resize(32, "crop", 0.875, interpolation="bicubic"),
    "pad": Resize(32, "pad", pad_colour=BLUE),
    "pad of a share, bicubic": Resize(32, "pad", 0.6, BLUE, "bicubic"),
}


def run(resize: Resize, pixels: Pixels) -> Pixels:
    """Return one image, uint8 [H, W, 3], as the graph resizes it."""
    return np.asarray(Session(resize_graph(resize), threads=1)(pixels[None])[0])


def scale(length: int, numerator: int, denominator: int) -> int:
    return max(1, (2 * length * numerator + denominator) // (2 * denominator))


def run_pillow(resize: Resize, pixels: Pixels) -> Pixels:
    """Return what Pillow makes of the image; columns are resized first, as all versions of Pillow before 13 do."""
    height, width = pixels.shape[:2]
    millionths = round(resize.crop_share * 1_000_000)
    if resize.fit == "stretch":
        part = (scale(width, millionths, 1_000_000), scale(height, millionths, 1_000_000))
    else:
        side = scale(min(pixels.shape[:2]) if resize.fit == "crop" else max(pixels.shape[:2]), millionths, 1_000_000)
        part = (min(width, side), min(height, side))
    left, top = (width - part[0]) // 2, (height - part[1]) // 2
    image = Image.fromarray(pixels).crop((left, top, left + part[0], top + part[1]))
    inside = (resize.size, resize.size)
    if resize.fit == "pad":
        inside = (scale(part[0], resize.size, max(part)), scale(part[1], resize.size, max(part)))
    image = image.resize((inside[0], part[1]), FILTERS[resize.interpolation])
    image = image.resize(inside, FILTERS[resize.interpolation])
    canvas = Image.new("RGB", (resize.size, resize.size), resize.pad_colour)
    canvas.paste(image, ((resize.size - inside[0]) // 2, (resize.size - inside[1]) // 2))
    return np.asarray(canvas)


def difference(actual: Pixels, expected: Pixels) -> npt.NDArray[np.int64]:
    return np.asarray(np.abs(actual.astype(np.int64) - expected))


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """Return a JPEG file of 1600x1200 pixels with shapes of many sizes."""
    layers = [Image.fromarray(noise(side, side, side)).resize((1600, 1200), 3) for side in (3, 10, 40)]
    buffer = BytesIO()
    Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.2).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


# The plain resize: the whole image, stretched, bilinear.


def test_the_plain_resize_is_the_same_as_ever_so_that_stored_vectors_are_found() -> None:
    for size, expected in (
        (32, "84290b2b410cdf2eeb9d0f01db78e819ca527f05fdd80e3c5ef30d4038c7fd16"),
        (224, "0dce3157f8ada4e4aaec1756318d391b3d8fce48597832c07e6934e00251781f"),
    ):
        assert digest(resize_graph(Resize(size)), "image", "resized") == expected


@given(SIDE, SIDE, st.sampled_from([90, 96, 224]))
def test_enlarging_equals_pillow_up_to_rounding(height: int, width: int, size: int) -> None:
    pixels = noise(height * width, height, width)
    differences = difference(run(Resize(size), pixels), run_pillow(Resize(size), pixels))
    assert differences.max() <= 2
    assert differences.mean() < 0.1


@pytest.mark.parametrize(
    ("side", "size"), [(1, 7), (8, 64), (16, 64), (32, 64), (32, 96)], ids=["1-7", "8-64", "16-64", "32-64", "32-96"]
)
def test_enlarging_by_a_whole_factor_equals_pillow_exactly(side: int, size: int) -> None:
    pixels = noise(side, side, side)
    np.testing.assert_array_equal(run(Resize(size), pixels), run_pillow(Resize(size), pixels))


@given(st.integers(33, 200), st.integers(33, 200))
def test_shrinking_equals_pillow_except_for_the_outermost_pixels(height: int, width: int) -> None:
    pixels = noise(height * width, height, width)
    differences = difference(run(Resize(32), pixels), run_pillow(Resize(32), pixels))
    assert differences[1:-1, 1:-1].max() <= 1
    assert differences.mean() < 1


@pytest.mark.parametrize("size", [1, 8, 64])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_image_of_the_right_size_stays_unchanged(size: int, fit: Any, interpolation: Any) -> None:
    pixels = noise(0, size, size)
    np.testing.assert_array_equal(run(Resize(size, fit, interpolation=interpolation), pixels), pixels)


# All other resizes: within two levels of Pillow at every pixel, even where black meets white.


@given(
    st.tuples(SIDE, SIDE),
    st.sampled_from([7, 32, 64]),
    st.sampled_from(["stretch", "crop", "pad"]),
    st.sampled_from([1.0, 0.875, 0.5, 0.01]),
    st.sampled_from(["bilinear", "bicubic"]),
)
@hypothesis_settings(max_examples=150)
def test_fits_and_filters_equal_pillow_up_to_rounding(
    sides: tuple[int, int], size: int, fit: Any, share: float, interpolation: Any
) -> None:
    resize = Resize(size, fit, share, BLUE, interpolation)
    pixels = noise(sum(sides), *sides) // 128 * 255
    if resize._replace(pad_colour=(0, 0, 0)) == Resize(size):
        return  # the plain resize
    assert difference(run(resize, pixels), run_pillow(resize, pixels)).max() <= 2


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 1000), (1000, 1), (3, 4000), (4000, 3), (2, 3), (31, 33), (600, 800), (32, 64)],
    ids=lambda side: f"{side}",
)
@pytest.mark.parametrize("resize", FITS.values(), ids=FITS)
def test_images_of_extreme_shapes_equal_pillow_up_to_rounding(resize: Resize, height: int, width: int) -> None:
    pixels = noise(height, height, width) // 128 * 255
    assert difference(run(resize, pixels), run_pillow(resize, pixels)).max() <= 2


@pytest.mark.parametrize(
    ("resize", "shape", "rows", "columns"),
    [
        pytest.param(Resize(5, "crop"), (5, 8), slice(0, 5), slice(1, 6), id="crop, an odd margin"),
        pytest.param(Resize(5, "crop"), (9, 5), slice(2, 7), slice(0, 5), id="crop, an even margin"),
        pytest.param(Resize(5, "crop", 0.5), (10, 10), slice(2, 7), slice(2, 7), id="crop, a share"),
        pytest.param(Resize(3, "crop", 0.5), (5, 9), slice(1, 4), slice(3, 6), id="crop, a half is rounded up"),
        pytest.param(Resize(7, "stretch", 0.7), (10, 10), slice(1, 8), slice(1, 8), id="stretch, a share"),
        pytest.param(Resize(1, "crop", 0.001), (9, 9), slice(4, 5), slice(4, 5), id="at least one pixel"),
    ],
)
def test_the_part_in_use_is_the_centre_and_of_an_odd_margin_the_end_has_the_pixel_more(
    resize: Resize, shape: tuple[int, int], rows: slice, columns: slice
) -> None:
    pixels = noise(1, *shape)
    np.testing.assert_array_equal(run(resize, pixels), pixels[rows, columns])


@pytest.mark.parametrize(
    ("resize", "shape", "source", "target"),
    [
        pytest.param(Resize(8, "pad"), (3, 8), (slice(0, 3), slice(0, 8)), (slice(2, 5), slice(0, 8)), id="wide"),
        pytest.param(Resize(8, "pad"), (8, 6), (slice(0, 8), slice(0, 6)), (slice(0, 8), slice(1, 7)), id="tall"),
        pytest.param(
            Resize(8, "pad", 0.5), (6, 16), (slice(0, 6), slice(4, 12)), (slice(1, 7), slice(0, 8)), id="a share"
        ),
        pytest.param(
            Resize(8, "pad", 0.5), (10, 16), (slice(1, 9), slice(4, 12)), (slice(0, 8), slice(0, 8)), id="no border"
        ),
    ],
)
def test_pad_keeps_the_ratio_inside_a_border_of_the_colour(
    resize: Resize, shape: tuple[int, int], source: tuple[slice, slice], target: tuple[slice, slice]
) -> None:
    pixels = noise(2, *shape)
    expected = np.full((8, 8, 3), BLUE, np.uint8)
    expected[target] = pixels[source]
    np.testing.assert_array_equal(run(resize._replace(pad_colour=BLUE), pixels), expected)


@pytest.mark.parametrize("fit", ["stretch of the centre", "crop", "crop of a share, bicubic"])
def test_pixels_outside_the_part_in_use_have_no_influence(fit: str) -> None:
    pixels = noise(0, 60, 100)
    changed = pixels.copy()
    changed[:, :15] = changed[:, -15:] = 0
    np.testing.assert_array_equal(run(FITS[fit], changed), run(FITS[fit], pixels))


@pytest.mark.parametrize("resize", [Resize(32), *FITS.values()], ids=["plain", *FITS])
def test_each_image_of_a_batch_is_resized_as_if_it_were_alone(resize: Resize) -> None:
    model = resize_graph(resize)
    onnx.checker.check_model(model, full_check=True)
    session = Session(model, threads=1)
    batch = np.stack([noise(seed, 30, 11) for seed in range(4)])
    resized = session(batch)
    assert resized.shape == (4, 32, 32, 3)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, np.concatenate([session(image[None]) for image in batch]))
    assert session(batch[:0]).shape == (0, 32, 32, 3)


def test_crop_is_within_half_a_pixel_of_a_resize_of_the_shorter_side_and_a_crop_of_its_centre() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 1600).astype(np.uint8)[:, None], (1200, 1600, 3))
    whole = Image.fromarray(ramp).resize((341, 256), Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((58, 16, 58 + 224, 16 + 224)))
    slope = 255 / 341  # of a resized pixel
    differences = difference(run(Resize(224, "crop", 224 / 256, interpolation="bicubic"), ramp), expected)
    assert differences.max() <= slope / 2 + 1


def test_wide_and_tall_shapes_differ_when_padded_and_not_when_stretched() -> None:
    wide, tall = (np.full((*sides, 3), (200, 60, 30), np.uint8) for sides in ((20, 60), (60, 20)))
    np.testing.assert_array_equal(run(Resize(32), wide), run(Resize(32), tall))
    border = [(run(Resize(32, "pad"), pixels) == 0).all(axis=2) for pixels in (wide, tall)]
    np.testing.assert_array_equal(border[0], border[1].T)
    assert (border[0] != border[1]).mean() > 0.4


@pytest.mark.parametrize(("fit", "lowest", "highest"), [("pad", 1.0, 1.0), ("stretch", 0.25, 0.75)])
def test_classes_that_differ_by_their_ratio_are_learnt_when_padded_and_not_when_stretched(
    backbone: Path, fit: Any, lowest: float, highest: float
) -> None:
    base = graphs.extract(onnx.load(backbone / "backbone.onnx"), "resized", "features")
    size = base.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    extract = Session(graphs.join(resize_graph(Resize(size, fit)), base), threads=1)
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = []
    for label in labels:
        sides = (16, 48) if label else (48, 16)
        features.append(extract(np.full((1, *sides, 3), random.integers(50, 256, 3), np.uint8))[0])
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[:30], labels[:30])
    assert lowest <= classifier.score(features[30:], labels[30:]) <= highest


# Identity, settings and decoding.


def test_everything_that_changes_pixels_changes_their_identity_and_nothing_else_does() -> None:
    resizes = [
        Resize(32),
        Resize(33),
        *FITS.values(),
        Resize(32, "pad"),
        Resize(32, "pad", pad_colour=(0, 0, 1)),
        Resize(32, "crop", 0.875),
    ]
    identities = {read_preprocessing(resize_graph(resize)).identity(scaled=False) for resize in resizes}
    assert len(identities) == len(resizes)
    with_colour = resize_graph(Resize(32, "crop", pad_colour=BLUE))
    assert digest(with_colour, "image", "resized") == digest(resize_graph(Resize(32, "crop")), "image", "resized")


def test_the_committed_params_ask_for_the_plain_resize(settings: Params) -> None:
    assert resize_of(settings.backbone, 224) == Resize(224)


def test_a_resize_comes_back_from_the_params_and_from_json(settings: Params) -> None:
    changes = {"fit": "pad", "crop_share": 0.9, "pad_colour": [10, 20, 200], "interpolation": "bicubic"}
    resize = resize_of(settings.backbone.model_copy(update=changes), 64)
    assert resize == Resize(64, "pad", 0.9, BLUE, "bicubic")
    assert resize.to_json() == {"size": 64, **changes}
    assert resize_from_json(json.loads(json.dumps(resize.to_json()))) == resize


@pytest.mark.parametrize(
    ("resize", "share", "min_side"),
    [
        pytest.param(Resize(32), 1, 64, id="all"),
        pytest.param(Resize(32, "crop"), 1, 64, id="crop"),
        pytest.param(Resize(32, "crop", 0.875), 0.875, 74, id="crop of a share"),
        pytest.param(Resize(32, "pad", 0.3), 0.3, 214, id="pad of a share"),
        pytest.param(Resize(32, "stretch", 0.5), 0.5, 128, id="stretch of a share"),
    ],
)
def test_images_are_decoded_with_twice_the_pixels_that_the_part_in_use_becomes(
    resize: Resize, share: float, min_side: int
) -> None:
    front = resize_graph(resize)
    model = graphs.join(front, rename_input(front))
    assert read_crop_share(model) == share
    preprocessing = read_preprocessing(model)
    assert (preprocessing.size, preprocessing.min_side) == (32, min_side)


def rename_input(front: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that takes the output of `front`."""
    output = front.graph.output[0]
    result = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.UINT8, ["N", 32, 32, 3])
    node = onnx.helper.make_node("Identity", [output.name], [result.name])
    return graphs.make_model(onnx.helper.make_graph([node], "base", [output], [result]))


@pytest.mark.parametrize("resize", FITS.values(), ids=FITS)
def test_decoding_at_a_reduced_scale_changes_resized_pixels_little(resize: Resize, photograph: bytes) -> None:
    resize = resize._replace(size=96)
    exact = decode(photograph).pixels
    scaled = decode(photograph, min_side=read_preprocessing(resize_graph(resize)).min_side).pixels
    assert scaled.shape[0] < exact.shape[0]
    assert difference(run(resize, scaled), run(resize, exact)).mean() < 2
