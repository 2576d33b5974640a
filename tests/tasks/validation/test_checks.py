import pytest

from tasks.common.errors import QuarantineKind
from tasks.common.params import Checks, Params
from tasks.validation.checks import CHECKS, active_checks, run_checks
from tests.tasks.conftest import ROOT
from tests.tasks.validation.manifests import frame_rows, image, images, sentences, unusable

AB = images("a", 12) + images("b", 12)
FAULTY = [*AB, image("a/same.jpg", sha256="s"), image("b/same.jpg", sha256="s"), *images("small", 1)]
FAULTY.append(unusable("a/1.xml", QuarantineKind.OTHER_FILE, "no image"))


def test_each_check_has_its_key_in_the_params_and_its_row_in_the_documentation() -> None:
    names = [check.name for check in CHECKS]
    assert names == list(Checks.model_fields)
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == names


def test_the_default_of_each_check_is_in_the_documentation(settings: Params) -> None:
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    assert {row[1].strip(" `"): row[3].strip() for row in rows} == settings.validation.checks.model_dump()


def test_a_dataset_without_faults_has_no_findings(settings: Params) -> None:
    assert run_checks(frame_rows(AB, settings), settings.validation) == []


def test_findings_are_ordered_by_severity_and_then_as_the_checks_are(settings: Params) -> None:
    findings = run_checks(frame_rows(FAULTY, settings), settings.validation)
    assert [(finding.severity, finding.check) for finding in findings] == [
        ("blocking", "images_per_class"),
        ("blocking", "usable"),
        ("warning", "duplicates"),
        ("note", "usable"),
    ]


@pytest.mark.parametrize(
    ("level", "severities"), [("off", []), ("warning", ["warning"]), ("blocking", ["blocking"])], ids=str
)
def test_the_params_decide_how_severe_a_check_is(settings: Params, level: str, severities: list[str]) -> None:
    checks = settings.validation.checks.model_copy(update={"images_per_class": level})
    params = settings.validation.model_copy(update={"checks": checks})
    findings = run_checks(frame_rows(FAULTY, settings), params)
    assert [found.severity for found in findings if found.check == "images_per_class"] == severities
    assert ("images_per_class" in {check.name for check in active_checks(params)}) == (level != "off")


def test_a_dataset_without_any_usable_image_is_judged_too(settings: Params) -> None:
    rows = [unusable(f"{label}/1.jpg", QuarantineKind.EMPTY, "the file is empty") for label in "ab"]
    findings = run_checks(frame_rows(rows, settings), settings.validation)
    assert [finding.check for finding in findings] == ["images_per_class", "images_per_class", "usable"]


def test_names_from_the_data_are_escaped_in_every_sentence(settings: Params) -> None:
    rows = images("a\n\x1b", 12) + images("b\u202e", 12)
    columns = {"highlights": 0.1, "width": 60000, "contrast": 0.001, "sharpness": 0.0, "is_grey": True}
    rows += [image(f"a\n\x1b/{name}\n.jpg", **{name: value}) for name, value in columns.items()]
    rows += [image(f"{label}/same\x07.jpg", phash=1) for label in ("a\n\x1b", "b\u202e")]
    findings = run_checks(frame_rows(rows, settings), settings.validation)
    assert len(findings) >= 6
    assert all(message.isprintable() for _, message in sentences(findings))
