import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tasks.common.params import Params
from tasks.evaluation.report.run import COMMANDS, Command, describe_run
from tests.docs.checks import CHECKS
from tests.graft.models import METADATA, write_colour_model
from tests.tasks.conftest import write_photos
from tests.tasks.evaluation.projects import write_inputs


def test_the_run_is_described_by_hashes_versions_and_all_settings_without_dates_and_paths(
    tmp_path: Path, settings: Params
) -> None:
    inputs = write_inputs(tmp_path, write_photos(tmp_path / "photos", 6))
    write_colour_model(inputs.model)
    inputs.backbone.write_text(json.dumps({"name": "Net", "weights": "own", "weights_sha256": "ab12"}))
    part = describe_run(inputs, replace(METADATA, taps=["last"], graft="1.2"), settings)
    facts = dict(part.facts)
    assert facts["network"] == "Net, weights own"
    assert facts["weights, SHA-256"] == "ab12"
    assert facts["licence of the weights"] == "unknown"
    assert facts["layers that the head reads"] == "last"
    assert facts["exported file, SHA-256"] == sha256(inputs.model.read_bytes()).hexdigest()
    assert dict(part.versions)["graft"] == "1.2"
    assert dict(part.metadata)["classes"] == json.dumps(METADATA.classes)
    flat = dict(part.settings)
    assert flat["dataset.columns.path"] == '"path"'
    assert flat["evaluation.operating_points"] == "{}"
    assert flat["validation.checks.blurred"] == '"warning"'
    assert not any(str(tmp_path) in text for pairs in part[:4] for _, text in pairs)


@pytest.mark.parametrize("command", COMMANDS, ids=[command.purpose for command in COMMANDS])
def test_a_command_of_the_page_is_understood_by_its_program(command: Command) -> None:
    if "import" in command.lines:
        compile(command.lines, "page", "exec")
        return
    program, *words = command.lines.split()
    CHECKS[program](words)
