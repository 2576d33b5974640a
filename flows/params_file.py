"""Editing params.yaml: comments and layout stay, and a value that is not allowed is never written."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tasks.common import params
from tasks.common.errors import ParamsError
from tasks.common.files import atomic_file


def edit(path: Path, changes: Sequence[tuple[str, Any]]) -> None:
    """Set each `section.key`, or a key of a section inside a section, to its value.

    Raises ParamsError, and leaves the file as it was, if any of them is wrong.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    # By default ruamel writes nothing for null, which looks like a forgotten value.
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    params.load(path)
    document = yaml.load(path)
    for key, value in changes:
        *sections, name = key.split(".")
        if not sections:
            message = f"--set expects section.key=value; found '{key}={value}'."
            raise ParamsError(message)
        target = document
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                message = f"--set {key}: '{section}' is no section of params.yaml."
                raise ParamsError(message)
        target[name] = value
    text = StringIO()
    yaml.dump(document, text)
    params.check(YAML(typ="safe", pure=True).load(text.getvalue()), path)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `section.key=value` and parse the value as YAML; raises ParamsError if either fails."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        message = f"--set expects section.key=value; found '{text}'."
        raise ParamsError(message)
    try:
        return key.strip(), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        message = f"--set {key}: '{value}' is not a YAML value."
        raise ParamsError(message) from error
