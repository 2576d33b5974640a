"""What was measured on this machine, kept in the user's cache."""

import json
import platform
from pathlib import Path

from tasks.common.files import atomic_file, cache_folder


def load() -> dict[str, float]:
    """Return images a second by network, as far as they were measured on this machine."""
    return dict(_all().get(platform.node(), {}))


def save(name: str, images_per_second: float) -> None:
    """Keep a measurement in place of an older one."""
    everything = _all()
    everything.setdefault(platform.node(), {})[name] = round(images_per_second, 1)
    with atomic_file(_path()) as temporary:
        temporary.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _path() -> Path:
    return cache_folder() / "speeds.json"


def _all() -> dict[str, dict[str, float]]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A cache may be missing or spoilt at any time: it is measured again.
        return {}
    return found if isinstance(found, dict) else {}
