"""The command line of a stage: its arguments, its errors and its exit code."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from tasks.common.errors import GraftError, explain_fault_of_the_disk

IMAGES = "folder that the paths in the manifest are relative to"
ACCEPTED = "accepted manifest (.parquet)"


def parse_paths(stage: str, summary: str, **help_texts: str) -> argparse.Namespace:
    """Parse the command line of `python -m tasks.STAGE`.

    Each keyword of `help_texts` becomes a required option whose value is a path. `--params` is optional.
    """
    parser = argparse.ArgumentParser(prog=f"python -m tasks.{stage}", description=summary)
    for option, help_text in help_texts.items():
        parser.add_argument(f"--{option}", type=Path, required=True, help=help_text)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file (default: %(default)s)")
    return parser.parse_args()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Suppress standard error while libraries are imported; if an import fails, write the suppressed text.

    TensorFlow's native libraries write a page of lines at every start, before their log level takes effect. These
    lines bypass `sys.stderr`, so the file descriptor itself is redirected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr_copy = os.dup(2)
    with TemporaryFile() as suppressed:
        os.dup2(suppressed.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            suppressed.seek(0)
            os.write(stderr_copy, suppressed.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr_copy, 2)
            os.close(stderr_copy)


def run_command(stage: str, main: Callable[[], None]) -> None:
    """Run a stage's main function; a GraftError or Ctrl-C ends the process with an exit code.

    Bad input, a full disk and a missing right end in one line on standard error, `graft STAGE: error: ...`. A reader of
    standard output that ends early, such as `head`, ends the process without a word. A defect keeps its traceback.
    """
    try:
        try:
            _run(stage, main)
        except SystemExit:
            _flush()
            raise
        _flush()
    except BrokenPipeError:
        if _is_read(sys.stdout.fileno()):
            raise
        # The interpreter writes the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _flush() -> None:
    # The shell's `>&-` closes standard output, which is then None.
    if sys.stdout is not None:
        sys.stdout.flush()


def _is_read(descriptor: int) -> bool:
    """Tell whether a pipe to write to still has a reader."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _run(stage: str, main: Callable[[], None]) -> None:
    try:
        main()
    except GraftError as error:
        print(f"graft {stage}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        message = explain_fault_of_the_disk(error)
        if message is None:
            raise
        print(f"graft {stage}: error: {message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"graft {stage}: interrupted", file=sys.stderr)
        sys.exit(130)
