import pytest

from tasks.common.params import Params
from tasks.tables.manifest import Row
from tests.tasks.validation.manifests import find, images, sentences

CASES = {
    "different names": (images("a", 6) + images("b", 6), []),
    "case": (images("Cat", 6) + images("cat", 6), ["classes 'Cat' and 'cat' differ only in case"]),
    "a space at the end": (
        images("bird", 6) + images("bird ", 6),
        ["classes 'bird' and 'bird ' differ only in spaces"],
    ),
    "Unicode forms": (
        images("\u00dcbung", 6) + images("U\u0308bung", 6),
        ["classes 'U\\u0308bung' and '\\xdcbung' differ only in their Unicode form"],
    ),
    "case and spaces": (
        images("Stop  sign", 6) + images("stop sign", 6),
        ["classes 'Stop  sign' and 'stop sign' differ only in case and spaces"],
    ),
    "everything at once": (
        images("\u00dcbung ", 6) + images("u\u0308bung", 6),
        ["classes 'u\\u0308bung' and '\\xdcbung ' differ only in case, spaces or Unicode form"],
    ),
}


@pytest.mark.parametrize(("rows", "messages"), CASES.values(), ids=CASES)
def test_names_that_are_easily_taken_for_each_other_are_reported(
    settings: Params, rows: list[Row], messages: list[str]
) -> None:
    assert sentences(find("class_names", rows, settings)) == [("warning", message) for message in messages]
