"""The promoted versions of the classifier: Git tags in the form of GTO, which DVC reads too.

`classifier@v1.2.0` names a version, and `classifier#prod#3` says that the commit it points to is in use since then.
"""

from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from flows import workspace
from tasks.common.errors import GraftError

ARTIFACT = "classifier"
STAGE = "prod"
FIRST = "v1.0.0"


class Version(NamedTuple):
    """A version of the classifier, such as v1.2.0, and the hash of its commit."""

    name: str
    commit: str


def artifact_name(root: Path) -> str:
    """Return the name in tags: the folder of the dvc.yaml, unless it is that of the repository, comes before it."""
    folder = root.relative_to(workspace.repository(root, ".git")).as_posix()
    return ARTIFACT if folder == "." else f"{folder}:{ARTIFACT}"


def model_path(root: Path) -> Path:
    """Return the path of the model that dvc.yaml registers; raises GraftError if it registers none."""
    document = YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text(encoding="utf-8"))
    entry = (document.get("artifacts") or {}).get(ARTIFACT)
    if not entry:
        message = f"dvc.yaml has no artifact '{ARTIFACT}'. Add it under `artifacts:` with the path of the model."
        raise GraftError(message)
    return Path(entry["path"])


def champion(root: Path) -> Version | None:
    """Return the version that the stage STAGE was last given to, or the latest one if it never was, or None."""
    versions = _versions(root)
    # Tags of the same second are in the order of their numbers.
    in_use = {
        (assignment["created_at"], _number(assignment["tag"])): version
        for version in versions
        for stage in version["stages"]
        if stage["stage"] == STAGE and stage["is_active"]
        for assignment in stage["assignments"]
    }
    version = in_use[max(in_use)] if in_use else next(iter(versions), None)
    return Version(version["version"], version["commit_hexsha"]) if version else None


def promote(root: Path, commit: str) -> list[str]:
    """Tag a commit as the next version and assign the stage STAGE to it; return the new tags.

    A commit that is a version already keeps its name. No tag is ever moved or replaced, and none is pushed.

    Raises:
        GraftError: Git or GTO refuses, with their reason.
    """
    from gto import api
    from gto.exceptions import GTOException
    from scmrepo.exceptions import SCMError

    repository, name = str(workspace.repository(root, ".git")), artifact_name(root)
    tags = []
    try:
        versions = _versions(root)
        version = next((entry["version"] for entry in versions if entry["commit_hexsha"] == commit), None)
        if version is None:
            bump = {"bump_minor": True} if versions else {"version": FIRST}
            registration = api.register(repository, name, commit, **bump)
            tags.append(registration.tag)
            version = registration.version
        # The version may have been in use before, and is again.
        tags.append(api.assign(repository, name, STAGE, version=version, force=True).tag)
    except (GTOException, SCMError) as error:
        message = f"the version cannot be tagged: {error}. Tags made so far: {', '.join(tags) or 'none'}."
        raise GraftError(message) from error
    return tags


def _versions(root: Path) -> list[dict[str, Any]]:
    """Return the versions as GTO describes them, the highest first."""
    from gto import api
    from gto.constants import VersionSort
    from gto.exceptions import ArtifactNotFound

    try:
        repository, name = str(workspace.repository(root, ".git")), artifact_name(root)
        return list(api.show(repository, name, registered_only=True, versions_per_stage=-1, sort=VersionSort.SemVer))
    except ArtifactNotFound:
        return []


def _number(tag: str) -> int:
    """Return the number at the end of a tag such as `classifier#prod#3`, or 0 for one without."""
    number = tag.rpartition("#")[2]
    return int(number) if number.isdecimal() else 0
