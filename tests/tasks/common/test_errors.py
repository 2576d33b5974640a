import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import DownloadError, GateError, GraftError, ImageError, ParamsError, did_you_mean

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("error", "code"), [(GraftError, 1), (ParamsError, 1), (ImageError, 1), (GateError, 1), (DownloadError, 75)]
)
def test_only_a_download_that_may_work_later_has_the_exit_code_of_a_passing_failure(
    error: type[GraftError], code: int
) -> None:
    assert issubclass(error, GraftError)
    assert error("told").exit_code == code


@pytest.mark.parametrize(
    ("found", "allowed", "told"),
    [
        ("MobilNet", ["MobileNet", "VGG16"], " Did you mean 'MobileNet'?"),
        ("mobilenet", ["VGG16", "MobileNet"], " Did you mean 'MobileNet'?"),
        ("EPOCH", ["epochs", "seed"], " Did you mean 'epochs'?"),
        ("zzz", ["epochs", "seed"], ""),
        ("", ["epochs"], ""),
        ("epochs", [], ""),
    ],
)
def test_the_nearest_allowed_word_is_named_in_its_own_spelling_or_none(
    found: str, allowed: list[str], told: str
) -> None:
    assert did_you_mean(found, allowed) == told


@given(WORDS, st.lists(WORDS, max_size=6))
def test_nothing_but_an_allowed_word_is_ever_suggested(found: str, allowed: list[str]) -> None:
    assert did_you_mean(found, allowed) in {"", *(f" Did you mean '{word}'?" for word in allowed)}


@given(st.lists(WORDS, min_size=1, max_size=6, unique_by=str.lower), st.data())
def test_a_word_in_the_wrong_case_always_finds_itself(allowed: list[str], data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from(allowed))
    assert did_you_mean(wanted.swapcase(), allowed) == f" Did you mean '{wanted}'?"
