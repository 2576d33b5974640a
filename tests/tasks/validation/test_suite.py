from pathlib import Path

from tasks.common.params import Params
from tasks.validation.checkpoint import Verdict, run_checkpoint
from tasks.validation.checks import CHECKS, run_checks
from tasks.validation.suite import ExpectNoFindings, make_frames_of_findings, make_suites
from tests.tasks.validation.manifests import frame_rows, image, images

AB = images("a", 12) + images("b", 12)
FAULTY = [*AB, *images("<b>", 3), image("a/&dark.jpg", highlights=0.1)]


def test_the_custom_expectation_documents_itself() -> None:
    assert ExpectNoFindings(column="dark").description == "Expect a check to have no findings."
    assert str(ExpectNoFindings.__doc__).startswith("Expect a check to have no findings.")


def test_a_column_of_a_check_is_null_but_for_what_it_found(settings: Params) -> None:
    dataset = frame_rows(FAULTY, settings)
    columns = make_frames_of_findings(dataset, run_checks(dataset, settings.validation), settings.validation)
    dark = columns["images"].set_index("path")["dark"].dropna()
    assert dark.to_dict() == {"a/&amp;dark.jpg": "the brightest hundredth has brightness 0.10"}
    small = columns["classes"].set_index("label")["images_per_class"].dropna()
    assert small.to_dict() == {"&lt;b&gt;": "class &#x27;&lt;b&gt;&#x27; has 3 usable images, needs 6"}
    assert columns["dataset"]["classes"].isna().all()
    assert {name for frame in columns.values() for name in frame} >= {check.name for check in CHECKS}


def test_an_expectation_is_described_with_what_its_check_found(settings: Params) -> None:
    dataset = frame_rows(FAULTY, settings)
    suites = make_suites(run_checks(dataset, settings.validation), settings.validation)
    described = {item.column: (item.severity.value, item.description) for item in suites["images"].expectations}
    assert described["dark"] == ("warning", "No picture is nearly black; 1 of 28 pictures is dark: a/&amp;dark.jpg")
    assert described["usable"] == ("critical", "Nearly all pictures can be used")


def test_a_check_that_is_off_has_no_expectation(settings: Params) -> None:
    checks = settings.validation.checks.model_copy(update={"dark": "off", "classes": "off", "expected_classes": "off"})
    suites = make_suites([], settings.validation.model_copy(update={"checks": checks}))
    assert set(suites) == {"images", "classes"}
    assert "dark" not in {expectation.column for expectation in suites["images"].expectations}


def test_great_expectations_gives_the_verdict_on_each_check(tmp_path: Path, settings: Params) -> None:
    dataset = frame_rows(FAULTY, settings)
    findings = run_checks(dataset, settings.validation)
    frames = make_frames_of_findings(dataset, findings, settings.validation)
    verdicts = run_checkpoint(frames, make_suites(findings, settings.validation), tmp_path)
    assert set(verdicts) == {check.name for check in CHECKS}
    assert {name: verdict for name, verdict in verdicts.items() if not verdict.success} == {
        "dark": Verdict(success=False, broken=1, rows=28),
        "images_per_class": Verdict(success=False, broken=1, rows=3),
    }
    assert verdicts["classes"] == Verdict(success=True, broken=0, rows=1)
