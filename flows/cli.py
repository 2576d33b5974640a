"""The `graft` command."""

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from flows import report, settings, workspace
from flows.console import View
from flows.stage import Outcome, StageError
from flows.watching import watcher
from tasks.common import params
from tasks.common.errors import GraftError

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",
    # The view shows the run; Prefect's own lines go to its log.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  typer passes a flag's value by position
    if wanted:
        print(f"graft {version('graft')}")
        raise typer.Exit


@app.callback()
def graft(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Graft a new image classifier onto a pretrained network."""


@app.command()
def train(
    data: Annotated[Path | None, typer.Option(help="Folder of class folders to train on.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Network to graft onto, e.g. ResNet50.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value of params.yaml; repeatable.")
    ] = None,
) -> None:
    """Train, export and test a classifier; only what changed runs."""
    errors = Console(stderr=True)
    # Python's default would end this process on the spot and leave Prefect's temporary server behind.
    signal.signal(signal.SIGTERM, _leave)
    try:
        root = workspace.find(Path.cwd())
        with workspace.alone(root, on_wait=print):
            _edit(root, data, backbone, set_ or [])
        _summarise(root, _run(Console()))
    except GraftError as error:
        if isinstance(error, StageError) and error.trace:
            errors.print(Text(error.trace), soft_wrap=True)
        errors.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("interrupted; the next run goes on from the last finished stage")
        sys.exit(130)


@app.command(context_settings=PASSED_ON, add_help_option=False)
def backbones(context: typer.Context) -> None:
    """List the networks to graft onto; show, classify, measure: see `graft backbones --help`."""
    _pass_on("tasks.backbone.catalogue", context)


@app.command(context_settings=PASSED_ON, add_help_option=False)
def store(context: typer.Context) -> None:
    """Show what the feature store holds; prune it: see `graft store --help`."""
    _pass_on("tasks.features.store", context)


def _pass_on(door: str, context: typer.Context) -> NoReturn:
    """Run a stage's own door, which knows its arguments, and leave with its exit code."""
    sys.exit(subprocess.run([sys.executable, "-m", door, *context.args], check=False).returncode)


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _edit(root: Path, data: Path | None, backbone: str | None, assignments: list[str]) -> None:
    path = root / "params.yaml"
    changes: list[tuple[str, object]] = []
    if data is not None:
        if not data.is_dir():
            message = f"--data {data} is not a folder. Expected one folder a class, {data}/CLASS/IMAGE."
            raise GraftError(message)
        place = data.resolve()
        inside = place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
        changes.append(("dataset.source", inside))
    if backbone is not None:
        changes.append(("backbone.name", backbone))
        if params.load(path).backbone.weights == "starter" and backbone != "MobileNet":
            print(f"backbone.weights: imagenet (the starter weights are for MobileNet, not {backbone})")
            changes.append(("backbone.weights", "imagenet"))
    changes += [settings.assignment(text) for text in assignments]
    if changes:
        settings.edit(path, changes)
    else:
        params.load(path)


def _run(console: Console) -> list[Outcome]:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    console.print("[dim]starting Prefect ...[/]")
    # Prefect takes more than a second to import: wrong params are told before.
    from flows.train import train as flow

    _start_prefect()
    with View(console) as view:
        token = watcher.set(view)
        try:
            return flow()
        finally:
            watcher.reset(token)


def _start_prefect() -> None:
    """Start Prefect's temporary server, if this run needs one, deaf to the terminal's Ctrl-C.

    Ctrl-C reaches every process of the terminal's group. A server that ended with it would leave the run trying
    for more than a minute to report that it was interrupted. A blocked signal stays blocked in a child.
    """
    from prefect.client.orchestration import get_client

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True) as client:
            trouble = client.api_healthcheck()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if trouble is not None:
        address = os.environ.get("PREFECT_API_URL", "of the active Prefect profile")
        message = (
            f"the Prefect server {address} does not answer. Start it with `prefect server start`, or unset "
            "PREFECT_API_URL to run with a temporary one."
        )
        raise GraftError(message) from trouble


def _summarise(root: Path, outcomes: list[Outcome]) -> None:
    seconds = sum(outcome.seconds for outcome in outcomes)
    lines = [
        "",
        f"test accuracy      {report.accuracy(root)}",
        f"model              {report.MODEL}",
        f"validation report  {report.VALIDATION_REPORT}",
        f"seconds            {seconds:.1f}",
        "",
        "next: commit this run            git add dvc.lock params.yaml && git commit",
        "      train on your own images   graft train --data FOLDER",
        "      try another setting        graft train --set head.dropout=0.5",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    app()
