"""Writes docs/reference from the code: settings, commands and artifacts.

    python -m tests.docs.reference

A test compares the pages with what this module would write.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import typer.main
from ruamel.yaml import YAML

from flows import cli
from tasks.common.params import Params
from tests.conftest import ROOT
from tests.docs.checks import PARSERS

FOLDER = ROOT / "docs" / "reference"
KEY = re.compile(r"^( *)([\w]+):(?: +([^#]*?))? *(?:# (.*))?$")
NOTE = "<!-- Written by `make docs`; change the code instead. -->"
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
WIDTH = 100


def describe_params() -> str:
    """Return the page of all keys of params.yaml, with their values there, what is allowed, and their comments."""
    schema = Params.model_json_schema()
    lines = ["# Settings", "", NOTE, "", "The keys of [params.yaml](../../params.yaml) and the values that it has."]
    lines += ["`graft train --set section.key=value` changes one."]
    parents: list[str] = []
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        match = KEY.match(line)
        if match is None:
            continue
        level = len(match[1]) // 2
        parents = [*parents[:level], match[2]]
        value, comment = match[3] or "", _cell(match[4] or "")
        if level == 0:
            lines += ["", f"## {match[2]}", ""]
            lines += [f"{comment[:1].upper()}{comment[1:]}.", ""] if comment else []
            lines += ["| key | value | allowed | meaning |", "|---|---|---|---|"]
        else:
            key = ".".join(parents[1:])
            shown = f"`{_cell(value)}`" if value else ""
            lines.append(f"| `{key}` | {shown} | {_cell(_allowed(schema, parents))} | {comment} |")
    return "\n".join(lines) + "\n"


def _allowed(schema: Mapping[str, Any], parents: list[str]) -> str:
    """Return the type, the choices and the bounds of a key in words."""
    node: Mapping[str, Any] = schema
    for name in parents:
        node = _resolve(schema, node).get("properties", {}).get(name, {})
    return " or ".join(dict.fromkeys(_describe_types(schema, node)))


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else node


def _describe_types(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[str]:
    node = _resolve(schema, node)
    for option in node.get("anyOf", []):
        yield from _describe_types(schema, option)
    if "enum" in node:
        yield ", ".join(str(choice) for choice in node["enum"])
    elif "const" in node:
        yield str(node["const"])
    elif node.get("type") == "array" and "items" in node:
        yield f"list of {' or '.join(_describe_types(schema, node['items']))}"
    elif "type" in node and "properties" not in node:
        kind = {"object": "mapping", "string": "text"}.get(node["type"], node["type"])
        bounds = ", ".join(f"{sign} {node[name]:g}" for name, sign in BOUNDS.items() if name in node)
        yield f"{kind} {bounds}".rstrip()


def describe_commands() -> str:
    """Return the page of all commands with their help texts."""
    lines = ["# Commands", "", NOTE, "", "The texts of `--help`."]
    for name, text in describe_helps():
        lines += ["", f"## {name}", "", "```text", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def describe_helps() -> list[tuple[str, str]]:
    """Return the commands with their help texts."""
    return [*_typer_helps(), *_argparse_helps()]


def _typer_helps() -> Iterator[tuple[str, str]]:
    group = typer.main.get_command(cli.app)
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        if name not in PARSERS:
            for path, nested in sorted(getattr(command, "commands", {"": command}).items()):
                nested.rich_markup_mode = None
                title = f"graft {name} {path}".rstrip()
                context = nested.make_context(title, [], resilient_parsing=True, terminal_width=WIDTH)
                yield title, nested.get_help(context)


def _argparse_helps() -> Iterator[tuple[str, str]]:
    for name, module in sorted(PARSERS.items()):
        parser = importlib.import_module(module).make_parser()
        parser.formatter_class = partial(parser.formatter_class, width=WIDTH)
        yield f"graft {name}", parser.format_help()


def describe_artifacts() -> str:
    """Return the page of the files that each stage writes, from dvc.yaml."""
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    lines = ["# Artifacts", "", NOTE, "", "The files that the stages write, and the settings that they depend on."]
    for name, stage in stages.items():
        outputs = [
            next(iter(entry)) if isinstance(entry, dict) else entry
            for kind in ("outs", "metrics", "plots")
            for entry in stage.get(kind, [])
        ]
        settings = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in stage.get("params", [])]
        lines += ["", f"## {name}", "", stage.get("desc", ""), ""]
        lines += [f"- `{output}`" for output in outputs]
        lines += ["", f"Settings: {', '.join(f'`{key}`' for key in settings)}"] if settings else []
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"params.md": describe_params, "commands.md": describe_commands, "artifacts.md": describe_artifacts}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, describe in PAGES.items():
        (FOLDER / name).write_text(describe(), encoding="utf-8")


if __name__ == "__main__":
    main()
