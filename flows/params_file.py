"""Editing params.yaml: comments and layout stay, and a value that is not allowed is never written."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken

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
        _replace(target, name, value)
    text = StringIO()
    yaml.dump(document, text)
    params.check(YAML(typ="safe", pure=True).load(text.getvalue()), path)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _replace(target: CommentedMap, name: str, value: Any) -> None:
    """Set a value: a list or a mapping is written in brackets, and the comments and empty lines around it stay."""
    old = target.get(name)
    if isinstance(value, list | dict):
        value = CommentedSeq(value) if isinstance(value, list) else CommentedMap(value)
        value.fa.set_flow_style()
    if isinstance(old, CommentedSeq | CommentedMap) and not old.fa.flow_style():
        first, last = target.ca.items.get(name), _last_comment(old)
        # A comment of ruamel begins behind the value, and goes on to the next key.
        text, mark = (first[2].value, first[2].start_mark) if first and first[2] else ("\n", CommentMark(0))
        text += last.value.partition("\n")[2] if last else ""
        # ruamel would write the comments as those of an item, and forget the end of the line.
        target.ca.items[name] = [None, None, CommentToken(text, mark, None), None]
    target[name] = value


def _last_comment(node: Any) -> CommentToken | None:
    """Return what stands behind the last item of a list or a mapping, up to the next key."""
    last = None
    while isinstance(node, CommentedSeq | CommentedMap) and node:
        is_list = isinstance(node, CommentedSeq)
        key = len(node) - 1 if is_list else next(reversed(node))
        tokens = node.ca.items.get(key)
        last = tokens[0 if is_list else 2] if tokens else None
        node = node[key]
    return last


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
