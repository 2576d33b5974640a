from tasks.evaluation.metrics import class_metrics
from tasks.evaluation.report.classes import describe_classes
from tests.tasks.evaluation.examples import make_test_set


def test_classes_are_listed_from_the_lowest_f1_on_without_those_that_have_no_test_images() -> None:
    rows = class_metrics(make_test_set("aaabbbc", "aabbbbc", ["a", "b", "c", "d"]))
    part = describe_classes(rows, 0.9)
    assert [row["class"] for row in part.rows] == ["a", "b", "c"]
    assert (part.more, part.unmeasured, part.level) == (0, 1, "90 %")
