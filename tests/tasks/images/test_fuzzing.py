import pytest

from tests.tasks.images.fuzzing import run_case
from tests.tasks.images.valid_files import VALID_FILES

# Outside pytest, which resets the filters of warnings, `tasks.images.decoding` does this.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.mark.parametrize("first", range(len(VALID_FILES)), ids=VALID_FILES)
def test_a_damaged_file_gives_an_image_or_the_reason(first: int) -> None:
    outcomes = [run_case(0, number) for number in range(first, 8 * len(VALID_FILES), len(VALID_FILES))]
    assert [outcome.defect for outcome in outcomes] == [""] * 8
