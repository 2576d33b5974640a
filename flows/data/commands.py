"""`graft data`: add a dataset, check it, review its labels and apply what was decided."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from flows import params_file, workspace
from flows.command import errors_in_one_line
from flows.data import sources
from flows.data.check import CORRECTIONS, Verdict, check_path, check_source
from tasks.common import params

ACCEPTED = "artifacts/validation/accepted.parquet"
FEATURES = "artifacts/features/features.parquet"
REVIEW = "artifacts/review"
# A log has no width of its own.
LINE_WIDTH = 160

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Add a dataset, check it, and review its labels.")


@app.command(epilog="Example: graft data add ~/photos --name animals")
def add(
    location: Annotated[str, typer.Argument(help="A folder, a table, an archive, or an https:// or s3:// address.")],
    name: Annotated[str | None, typer.Option(help="Name below data/; by default that of the folder or file.")] = None,
    table: Annotated[str | None, typer.Option(help="CSV or Parquet table below the source that lists images.")] = None,
) -> None:
    """Put a dataset under DVC and train on it from now on."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        with workspace.lock(root, on_wait=print):
            source = sources.add(location, name, table, root, print)
            params_file.edit(root / "params.yaml", source.changes())
        print(f"dataset.source: {source.source}" + (f", dataset.table: {source.table}" if source.table else ""))
        tracked = f"{source.source}.dvc {Path(source.source).parent / '.gitignore'}"
        print(f"next: git add {tracked} params.yaml\n      graft data check\n      graft train")


@app.command(epilog="Example: graft data check ~/photos --strict")
def check(
    path: Annotated[
        Path | None, typer.Argument(help="A folder, a table or an archive; by default dataset.source.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there are warnings.")] = False,
) -> None:
    """Scan and judge a dataset without training: exit code 0, 1 (warnings, with --strict) or 2 (not fit)."""
    with errors_in_one_line(Verdict.UNFIT):
        root, console = workspace.find(Path.cwd()), Console()
        if not console.is_terminal:
            console = Console(width=LINE_WIDTH)
        verdict = check_source(root, console) if path is None else check_path(path, root, console)
    sys.exit(verdict.exit_code(strict=strict))


@app.command(epilog="Example: graft data review --limit 200")
def review(
    limit: Annotated[int | None, typer.Option(min=1, help="Most images to list; by default 4 % of them.")] = None,
) -> None:
    """Rank likely wrong labels and odd images by the cached features; write a page and a CSV file to edit."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        source = params.load(root / "params.yaml").dataset.source
        limits = ["--limit", str(limit)] if limit else []
        _run(
            root, "review", "--images", source, "--features", FEATURES, "--accepted", ACCEPTED, "--out", REVIEW, *limits
        )


@app.command(epilog="Example: graft data apply decisions.csv")
def apply(file: Annotated[Path, typer.Argument(help="The CSV file of the review with your decisions.")]) -> None:
    """Record the decisions of a review in data/corrections.csv; the images themselves stay untouched."""
    with errors_in_one_line():
        root = workspace.find(Path.cwd())
        _run(root, "review.apply", "--table", str(file.resolve()), "--accepted", ACCEPTED)


def _run(root: Path, module: str, *arguments: str) -> NoReturn:
    """Run a module of the review, which shows its progress and its errors itself, and exit with its code."""
    command = [sys.executable, "-m", f"tasks.{module}", *arguments, "--corrections", CORRECTIONS]
    sys.exit(subprocess.run(command, cwd=root, check=False).returncode)
