"""Editing params.yaml: comments and layout stay, a value that is not allowed never lands."""

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
    """Set each `section.key` to its value.

    Raises ParamsError, and leaves the file as it was, if any of them is wrong.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    # ruamel writes nothing for null, which reads as a value that somebody forgot.
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    params.load(path)
    document = yaml.load(path)
    for key, value in changes:
        section, _, name = key.partition(".")
        if not name:
            message = f"--set expects section.key=value; found '{key}={value}'."
            raise ParamsError(message)
        document.setdefault(section, {})[name] = value
    written = StringIO()
    yaml.dump(document, written)
    params.check(YAML(typ="safe", pure=True).load(written.getvalue()), path)
    with atomic_file(path) as temporary:
        temporary.write_text(written.getvalue(), encoding="utf-8")


def assignment(text: str) -> tuple[str, Any]:
    """Split `section.key=value` and read the value as YAML; raises ParamsError when either fails."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        message = f"--set expects section.key=value; found '{text}'."
        raise ParamsError(message)
    return key.strip(), _value(key, value)


def _value(key: str, text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        message = f"--set {key}: '{text}' is not a YAML value."
        raise ParamsError(message) from error
