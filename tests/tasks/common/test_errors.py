import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import (
    DownloadError,
    GateError,
    GraftError,
    ImageError,
    ParamsError,
    QuarantineKind,
    did_you_mean,
)

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("error", "code"), [(GraftError, 1), (ParamsError, 1), (ImageError, 1), (GateError, 1), (DownloadError, 75)]
)
def test_only_a_download_that_may_work_later_has_the_exit_code_of_a_temporary_failure(
    error: type[GraftError], code: int
) -> None:
    assert issubclass(error, GraftError)
    assert error("reason").exit_code == code


def test_a_copied_image_error_keeps_its_reason_and_kind() -> None:
    # Errors are copied in this way between processes, too.
    error = copy.copy(ImageError("the file is empty", QuarantineKind.EMPTY))
    assert (str(error), error.kind) == ("the file is empty", QuarantineKind.EMPTY)


@pytest.mark.parametrize(
    ("name", "allowed", "suggestion"),
    [
        pytest.param("MobilNet", ["MobileNet", "VGG16"], " Did you mean 'MobileNet'?", id="a letter is missing"),
        pytest.param("mobilenet", ["VGG16", "MobileNet"], " Did you mean 'MobileNet'?", id="wrong case"),
        pytest.param("EPOCH", ["epochs", "seed"], " Did you mean 'epochs'?", id="wrong case and a missing letter"),
        pytest.param("zzz", ["epochs", "seed"], "", id="nothing similar"),
        pytest.param("", ["epochs"], "", id="empty name"),
        pytest.param("epochs", [], "", id="nothing allowed"),
    ],
)
def test_the_nearest_allowed_name_is_suggested_in_its_own_spelling(
    name: str, allowed: list[str], suggestion: str
) -> None:
    assert did_you_mean(name, allowed) == suggestion


@given(NAMES, st.lists(NAMES, max_size=6))
def test_only_allowed_names_are_suggested(name: str, allowed: list[str]) -> None:
    assert did_you_mean(name, allowed) in {"", *(f" Did you mean '{candidate}'?" for candidate in allowed)}


@given(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.lower), st.data())
def test_a_name_in_the_wrong_case_is_always_corrected(allowed: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(allowed))
    assert did_you_mean(name.swapcase(), allowed) == f" Did you mean '{name}'?"
