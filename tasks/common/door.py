"""How every stage's command starts and ends."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tasks.common.errors import GraftError


def parser(stage: str, summary: str) -> argparse.ArgumentParser:
    """Return the argument parser of `python -m tasks.STAGE`, with the one option that all stages share."""
    arguments = argparse.ArgumentParser(prog=f"python -m tasks.{stage}", description=summary)
    arguments.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="params file (default: %(default)s)"
    )
    return arguments


def open_door(stage: str, main: Callable[[], None]) -> None:
    """Run a stage's main function and leave with its exit code.

    Bad input ends in one line, `graft STAGE: error: ...`, on standard error; a defect keeps its traceback.
    """
    # TensorFlow's libraries greet every start with a page of lines that say nothing of the run.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except GraftError as error:
        print(f"graft {stage}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"graft {stage}: interrupted", file=sys.stderr)
        sys.exit(130)
