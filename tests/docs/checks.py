"""Checks of a command without running it: its parser accepts the words, and the files and keys that it names exist."""

import contextlib
import importlib
import io
import re
import shutil
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import typer.main
from dvc.cli import parse_args
from prefect.cli._app import _app as prefect

from flows import cli, params_file
from graft.__main__ import COMMANDS
from tests.conftest import ROOT

PARSERS = COMMANDS | {"backbones": "tasks.backbone.catalogue.__main__", "store": "tasks.store.__main__"}
"""The commands that read their arguments by argparse, each with its module."""

GIT = {"add", "clone", "commit", "diff", "init", "log", "push"}
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class CommandError(Exception):
    """A command that would not run as it is written."""


def check_graft(words: list[str]) -> None:
    """Parse the arguments of `graft`, and apply those of --set to a copy of params.yaml."""
    if words[:1] and words[0] in PARSERS:
        parser = importlib.import_module(PARSERS[words[0]]).make_parser()
        _expect_no_exit(lambda: parser.parse_args(words[1:]))
        return
    _expect_no_exit(lambda: _parse_with_typer(words))
    assignments = [value for option, value in pairwise(words) if option == "--set"]
    with TemporaryDirectory() as folder:
        path = Path(shutil.copy(ROOT / "params.yaml", folder))
        # A hash that the reader fills in.
        texts = [text.replace("sha256=...", f"sha256={'a' * 64}") for text in assignments]
        params_file.edit(path, [params_file.parse_assignment(text) for text in texts])


def _parse_with_typer(words: list[str]) -> None:
    command = typer.main.get_command(cli.app)
    context = command.make_context("graft", list(words))
    while context.invoked_subcommand or hasattr(command, "commands"):
        arguments = [*context._protected_args, *context.args]  # noqa: SLF001  where a group keeps the words of its command
        name, command, rest = command.resolve_command(context, arguments)  # type: ignore[attr-defined]
        context = command.make_context(name, rest, parent=context)


def check_dvc(words: list[str]) -> None:
    """Parse the arguments of `dvc`."""
    _expect_no_exit(lambda: parse_args(words))


def check_prefect(words: list[str]) -> None:
    """Parse the arguments of `prefect`, after those of the session."""
    _expect_no_exit(lambda: prefect.parse_args(words[words[0] == "--no-prompt" :]))


def check_git(words: list[str]) -> None:
    """Compare the command of `git` with those that the pages use."""
    if words[0] not in GIT:
        message = f"git {words[0]} is none of {', '.join(sorted(GIT))}"
        raise CommandError(message)


def check_make(words: list[str]) -> None:
    """Look for the target in the Makefile."""
    if set(words) - set(TARGETS):
        message = f"the Makefile has no target {words}"
        raise CommandError(message)


def check_pip(words: list[str]) -> None:
    """Look for the extras in pyproject.toml, and for other packages among the locked ones."""
    for name in words[1:]:
        extra = re.fullmatch(r"(?:\.|graft)(?:\[(.+)\])?", name)
        if extra is None:
            known = bool(re.search(rf"^{re.escape(name)}==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
        else:
            known = extra[1] is None or extra[1] in PROJECT["optional-dependencies"]
        if not known:
            message = f"{name} is no extra of pyproject.toml and not in requirements.lock"
            raise CommandError(message)


def check_python(words: list[str]) -> None:
    """Look for the module or the script."""
    if words[0] == "-m":
        known = find_spec(words[1]) is not None
    elif words[0] == "-c":
        compile(words[1], "-c", "exec")
        known = True
    else:
        known = (ROOT / words[0]).is_file()
    if not known:
        message = f"{words[-1]} does not exist"
        raise CommandError(message)


def _expect_no_exit(parse: Callable[[], object]) -> None:
    """Parse words; a parser that would print a message and end the process raises that message instead."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            parse()
    except (Exception, SystemExit) as error:
        if 0 in (getattr(error, "code", None), getattr(error, "exit_code", None)):  # --help, --version
            return
        message = f"{printed.getvalue()}{error}"
        raise CommandError(message) from error


def check_nothing(_: list[str]) -> None:
    """Accept any words of a command that every system has."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "graft": check_graft,
    "dvc": check_dvc,
    "prefect": check_prefect,
    "git": check_git,
    "make": check_make,
    "pip": check_pip,
    "python": check_python,
    "cd": check_nothing,
    "head": check_nothing,
}
