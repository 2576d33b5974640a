"""The command `graft`: commands that use a model start at once, all others belong to training."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

from tasks.common.command import run_command

# Each is a module with a function `main`, which reads the arguments after the command's name.
COMMANDS = {
    "predict": "graft.predict.command",
    "score": "graft.scoring.command",
    "serve": "graft.serving.command",
    "demo": "graft.demo.command",
    "conformance": "graft.conformance.command",
}


def main() -> None:
    """Run the command that the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in COMMANDS:
        # The import is a part of the command: Ctrl-C ends it in one line too.
        run_command(name, lambda: import_module(COMMANDS[name]).main(sys.argv[2:]))
    elif find_spec("typer") is None:
        _explain_small_installation()
    else:
        from flows.cli import app

        app()


def _explain_small_installation() -> NoReturn:
    message = (
        f"graft: error: here only these commands are installed: {', '.join(COMMANDS)}. The others need the extra "
        "'train': pip install 'graft[train]'."
    )
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
