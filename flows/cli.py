"""The `graft` command."""

import os
import subprocess
import sys
import webbrowser
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from flows import comparison, dvc, params_file, promotion, report, server, workspace
from flows.command import errors_in_one_line
from flows.data import commands as data_commands
from flows.data import layout, sources
from flows.dvc import Outcome
from flows.live_display import LiveDisplay
from flows.observer import observer
from tasks.common import params
from tasks.common.errors import GraftError

PREFECT_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A busy machine takes more than a minute to start a server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # The display shows the run; Prefect's own lines go to its log.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}

PASS_ARGUMENTS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(data_commands.app, name="data")


def _show_version(requested: bool) -> None:  # noqa: FBT001  typer passes a flag's value by position
    if requested:
        print(f"graft {version('graft')}")
        raise typer.Exit


@app.callback()
def graft(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Graft a new image classifier onto a pretrained network."""


@app.command(epilog="Example: graft train --data ~/photos --backbone ResNet50 --set finetuning.enabled=true")
def train(
    data: Annotated[Path | None, typer.Option(help="Folder of class folders, table or archive to train on.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Network to graft onto, e.g. ResNet50.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value of params.yaml; repeatable.")
    ] = None,
) -> None:
    """Train, export and test a classifier; only what changed runs."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        with workspace.lock(root, on_wait=print):
            _edit_params(root, data, backbone, set_ or [])
            if data is None:
                layout.check_names(root, params.load(root / "params.yaml").dataset.source)
            stale = dvc.stale(root)
        if not stale:
            print("nothing to do: params, data and outputs are up to date")
        if stale:
            _print_summary(root, *_run_flow(Console()))
        else:
            _print_summary(root, [], comparison.since_last_commit(root))


@app.command("report", epilog="Examples: graft report; graft report HEAD~1 HEAD --no-open")
def open_report(
    before: Annotated[
        str | None, typer.Argument(metavar="[A]", help="Compare this commit, tag, branch or DVC experiment ...")
    ] = None,
    after: Annotated[
        str, typer.Argument(metavar="[B]", help="... with this one; by default with what is in the workspace.")
    ] = comparison.WORKSPACE,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the path of the page, and open no browser.")
    ] = False,
) -> None:
    """Open the report of the run; with A, or A and B, compare two runs on the same test images."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        page = report.REPORT
        if before is not None:
            page = comparison.PAGE
            comparison.compare_revisions(root, before, after)
        elif not (root / page).is_file():
            message = f"{page} is missing: the stage 'evaluation' writes it. Run `graft train`, or `dvc pull`."
            raise GraftError(message)
        print(f"report  {page}")
        if not no_open and not webbrowser.open((root / page).as_uri()):
            print("no browser was found; open the file yourself")


@app.command(epilog="Example: graft promote --force")
def promote(
    force: Annotated[bool, typer.Option("--force", help="Promote after a tie or a reject too.")] = False,
) -> None:
    """Tag the committed run as the next version if it beats the champion: exit code 0 (promote, tie) or 1 (reject)."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        candidate = promotion.candidate(root)
        champion = promotion.find_champion(root)
        result = promotion.decide(root, candidate, champion, force=force)
    sys.exit(result == "reject" and not force)


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def backbones(context: typer.Context) -> None:
    """List the networks to graft onto; show, classify, measure: see `graft backbones --help`."""
    _run_module("tasks.backbone.catalogue", context)


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def store(context: typer.Context) -> None:
    """Show what the feature store holds; prune it: see `graft store --help`."""
    _run_module("tasks.store", context)


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def predict(context: typer.Context) -> None:
    """Classify images with an exported model: see `graft predict --help`."""
    _run_module("graft", context, "predict")


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def score(context: typer.Context) -> None:
    """Classify what is new in a folder or a bucket, results as Parquet: see `graft score --help`."""
    _run_module("graft", context, "score")


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def conformance(context: typer.Context) -> None:
    """Compare the runtimes of an exported model on your images: see `graft conformance --help`."""
    _run_module("graft", context, "conformance")


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def demo(context: typer.Context) -> None:
    """Make and serve a web page to try an exported model: see `graft demo --help`."""
    _run_module("graft", context, "demo")


@app.command(context_settings=PASS_ARGUMENTS_ON, add_help_option=False)
def serve(context: typer.Context) -> None:
    """Serve an exported model over HTTP: see `graft serve --help`."""
    _run_module("graft", context, "serve")


def _run_module(module: str, context: typer.Context, *words: str) -> NoReturn:
    """Run a module's own command, which parses its arguments itself, and exit with its code."""
    sys.exit(subprocess.run([sys.executable, "-m", module, *words, *context.args], check=False).returncode)


def _edit_params(root: Path, data: Path | None, backbone: str | None, assignments: list[str]) -> None:
    path = root / "params.yaml"
    changes: list[tuple[str, object]] = []
    if data is not None:
        source = sources.local_source(data, root)
        if source.table is None:
            layout.check_layout(data, root)
        layout.check_names(root, source.source)
        changes += source.changes()
        if notice := sources.outside_notice(source.source, root):
            print(notice)
    if backbone is not None:
        changes.append(("backbone.name", backbone))
        weights = "none" if backbone.lower().endswith(".onnx") else "imagenet"
        if params.load(path).backbone.weights == "starter" and backbone != "MobileNet":
            print(f"backbone.weights: {weights} (the starter weights are for MobileNet, not {backbone})")
            changes.append(("backbone.weights", weights))
    changes += [params_file.parse_assignment(text) for text in assignments]
    if changes:
        params_file.edit(path, changes)
    else:
        params.load(path)


def _run_flow(console: Console) -> tuple[list[Outcome], str | None]:
    """Run the flow; return how each stage ended, and the verdict against the last committed run."""
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    console.print("[dim]starting Prefect ...[/]")
    display = LiveDisplay(console)
    server.connect(display.on_wait)
    # Prefect takes more than a second to import: wrong params are reported before.
    from flows.train import train as flow

    with display:
        token = observer.set(display)
        try:
            return flow(), display.verdict
        finally:
            observer.reset(token)


def _print_summary(root: Path, outcomes: list[Outcome], verdict: str | None) -> None:
    seconds = sum(outcome.seconds for outcome in outcomes)
    notes = [f"note: {text}" for text in (*report.notes(root), report.starter_notice(root)) if text]
    warnings = [f"warning: {text}" for text in report.warnings(root)]
    training = {stage: report.stage_headline(root, stage) for stage in report.SUMMED_UP}
    lines = [
        "",
        f"test accuracy      {report.result(root)}",
        *(f"{stage:<19}{text}" for stage, text in training.items() if text),
        *([f"last commit        {verdict}"] if verdict else []),
        f"model              {report.MODEL}",
        *([f"report             {report.REPORT}"] if (root / report.REPORT).is_file() else []),
        f"validation report  {report.VALIDATION_REPORT}",
        f"seconds            {seconds:.1f}",
        *(["", *warnings] if warnings else []),
        *(["", *notes] if notes else []),
        "",
        "next: look at the report         graft report",
        "      commit this run            git add dvc.lock params.yaml && git commit, graft promote",
        "      train on your own images   graft data add FOLDER, graft data check, graft train",
        "      look for wrong labels      graft data review",
        "      try another setting        graft train --set features.views=4",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    app()
