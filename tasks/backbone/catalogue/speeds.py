"""Record of the speeds measured on each machine, a JSON file in the user's cache folder."""

import json
import platform
from pathlib import Path

from tasks.common.files import atomic_file, cache_folder


def load() -> dict[str, float]:
    """Return images a second by network name, for the networks that were measured on this machine."""
    return dict(_load_all_machines().get(platform.node(), {}))


def save(name: str, images_per_second: float) -> None:
    """Record a measurement; it replaces an older one of the same network."""
    machines = _load_all_machines()
    machines.setdefault(platform.node(), {})[name] = round(images_per_second, 1)
    with atomic_file(_path()) as temporary:
        temporary.write_text(json.dumps(machines, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _path() -> Path:
    return cache_folder() / "speeds.json"


def _load_all_machines() -> dict[str, dict[str, float]]:
    try:
        machines = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A file in a cache may be missing or damaged at any time; the speeds can be measured again.
        return {}
    return machines if isinstance(machines, dict) else {}
