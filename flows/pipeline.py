"""The stages of dvc.yaml in an order in which they can run. DVC draws the graph; no other list of stages exists."""

from pathlib import Path
from typing import NamedTuple

from flows import dvc


class Stage(NamedTuple):
    """A stage of dvc.yaml, or a .dvc file with data of the user's own, and the stages that it directly depends on."""

    name: str
    upstream: tuple[str, ...]

    @property
    def is_data(self) -> bool:
        """Whether this is a .dvc file, which DVC updates but does not run."""
        return self.name.endswith(".dvc")


def read(root: Path) -> list[Stage]:
    """Return the stages of `root`/dvc.yaml, each after its upstream, otherwise in the order of dvc.yaml.

    Raises GraftError with DVC's own message.
    """
    graph = dvc.graph(root)
    ordered: dict[str, Stage] = {}

    def add(name: str) -> None:
        if name not in ordered:
            for upstream in graph[name]:
                add(upstream)
            ordered[name] = Stage(name, tuple(graph[name]))

    for name in graph:
        add(name)
    return list(ordered.values())
