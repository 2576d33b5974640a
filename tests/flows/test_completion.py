import os
import subprocess
import sys
from pathlib import Path

import pytest

# Loads the script that graft prints, and asks for completions as the Tab key does.
SCRIPT = """
source <(graft --show-completion bash)
COMP_WORDS=({words} '') COMP_CWORD={place}
COMP_WORDS[{place}]='{prefix}'
_graft_completion graft '{prefix}' ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "prefix", "completions"),
    [
        ("graft", "tr", ["train"]),
        ("graft", "pre", ["predict"]),
        ("graft data", "", ["add", "check", "review", "apply"]),
        ("graft train", "--ba", ["--backbone"]),
    ],
    ids=["a command", "a command that reads its own arguments", "commands of a group", "an option"],
)
def test_bash_completes_commands_and_options(words: str, prefix: str, completions: list[str]) -> None:
    script = SCRIPT.format(words=words, place=len(words.split()), prefix=prefix)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    completed = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert completed.stdout.split() == completions
