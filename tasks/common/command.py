"""How every stage's command starts and ends."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from tasks.common.errors import GraftError

IMAGES = "folder that the manifest's paths start from"
ACCEPTED = "accepted manifest (.parquet)"


def parse_paths(stage: str, summary: str, **meanings: str) -> argparse.Namespace:
    """Parse the command line of `python -m tasks.STAGE`: a required path for each word, and --params."""
    parser = argparse.ArgumentParser(prog=f"python -m tasks.{stage}", description=summary)
    for word, meaning in meanings.items():
        parser.add_argument(f"--{word}", type=Path, required=True, help=meaning)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file (default: %(default)s)")
    return parser.parse_args()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Hold back what libraries write to standard error while they are imported; write it after all if that fails.

    TensorFlow's native libraries greet every start with a page of lines, from before their own log levels count.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    screen = os.dup(2)
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(screen, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)


def run_command(stage: str, main: Callable[[], None]) -> None:
    """Run a stage's main function and leave with its exit code.

    Bad input ends in one line, `graft STAGE: error: ...`, on standard error; a defect keeps its traceback.
    """
    try:
        main()
    except GraftError as error:
        print(f"graft {stage}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"graft {stage}: interrupted", file=sys.stderr)
        sys.exit(130)
