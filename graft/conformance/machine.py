"""The machine on which figures were measured."""

import os
import platform
import re
from pathlib import Path


def describe_machine() -> str:
    """Return cores, processor and Python in a phrase: `2 cores (AMD EPYC), Python 3.11.7`."""
    return f"{os.cpu_count()} cores ({_processor_name()}), Python {platform.python_version()}"


def _processor_name() -> str:
    """Return the processor's name as Linux reports it, elsewhere the kind of machine."""
    try:
        match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        match = None
    return match[1].strip() if match else platform.machine()
