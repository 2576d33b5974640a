"""RESULTS.md: each benchmark renews its own section and leaves the others unchanged."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEADING = """# Results

`make bench` renews this page; nothing else should run on the machine meanwhile. Compare the ratios rather than the
absolute figures: both sides of a ratio were measured in the same run.

"""


def describe_machine(packages: Sequence[str]) -> str:
    """Return cores, processor, Python and the versions of the packages, for the line above a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores ({_processor_name()}), Python {platform.python_version()}, {versions}"


def renew(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], packages: Sequence[str]) -> None:
    """Replace the section of that title by one with this table, or append it, and print it."""
    lines = [f"## {title}", "", f"{datetime.now(UTC):%Y-%m-%d}, {describe_machine(packages)}.", ""]
    lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    section = "\n".join(lines) + "\n"
    print(section)
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = {match[1]: match[0] for match in re.finditer(r"^## (.*)\n(?:(?!## ).*\n)*", page, re.MULTILINE)}
    sections[title] = section
    body = "\n".join(text.rstrip() + "\n" for text in sections.values())
    RESULTS.write_text(HEADING + body, encoding="utf-8")


def _processor_name() -> str:
    """Return the processor's name as Linux reports it, elsewhere the kind of machine."""
    try:
        match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        match = None
    return match[1] if match else platform.machine()
