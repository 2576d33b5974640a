import re

import pytest

from tests.docs.checks import CHECKS
from tests.docs.pages import divide
from tests.docs.reference import describe_helps

EXAMPLES = re.compile(r"^ *[Ee]xamples?:(.*?)\n*\Z", re.MULTILINE | re.DOTALL)
HELPS = dict(describe_helps())


@pytest.mark.parametrize("command", HELPS)
def test_the_help_of_a_command_ends_with_examples_that_its_parser_accepts(command: str) -> None:
    match = EXAMPLES.search(HELPS[command])
    assert match is not None
    text = re.sub(r" {2,}#.*$", "", match[1], flags=re.MULTILINE)
    # Each on a line of its own, or after a semicolon; a long one goes on in the next line.
    examples = [" ".join(example.split()) for example in re.split(r"; |\n(?= *(?:graft|find|curl) )", text)]
    for example in filter(None, examples):
        for words in divide(example):
            if words[0] in CHECKS:
                CHECKS[words[0]](words[1:])
    assert any(example.startswith(command) for example in examples)
