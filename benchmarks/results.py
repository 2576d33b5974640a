"""RESULTS.md, a section a benchmark: each renews its own and leaves the others."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def processor() -> str:
    """Return the processor's name as its system tells it."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def renew(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], packages: Sequence[str]) -> None:
    """Put a section with this table in the place of the one with that title, and print it."""
    machine = f"{os.cpu_count()} cores ({processor()}), Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [f"## {title}", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}.", ""]
    lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    section = "\n".join(lines) + "\n"
    print(section)
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = {found[1]: found[0] for found in re.finditer(r"^## (.*)\n(?:(?!## ).*\n)*", before, re.MULTILINE)}
    sections[title] = section
    heading = "# Results\n\nRenewed by `make bench`, on a quiet machine; read ratios first.\n\n"
    RESULTS.write_text(heading + "\n".join(text.rstrip() + "\n" for text in sections.values()), encoding="utf-8")
