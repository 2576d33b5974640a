"""The gate: the committed run against the champion, on the same test images, and the tags of a promotion."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from flows import comparison, process, registry, revisions, workspace
from flows.comparison import FILES, Run
from flows.registry import Version
from flows.revisions import HEAD, PARAMS
from tasks.common import params
from tasks.common.errors import GraftError
from tasks.common.text import count, join

ACCEPTED = Path("artifacts/validation/accepted.parquet")
Result = Literal["promote", "tie", "reject"]
RESULTS: dict[str, Result] = {"better": "promote", "same": "tie", "worse": "reject"}
REASONS = {
    "promote": ": the candidate is better than the champion",
    "tie": ": chance may explain the difference",
    "reject": ": the candidate is worse than the champion",
}
PROMOTE = "graft promote: error: "
PREDICT = "graft predict: error: "


class Candidate(NamedTuple):
    """The committed run: its commit, and the name of the artifact in tags."""

    commit: str
    artifact: str

    @property
    def name(self) -> str:
        """The name for people."""
        return f"{HEAD} ({self.commit[:7]})"


def candidate(root: Path) -> Candidate:
    """Return the committed run; raises GraftError if params or results are not committed, or do not belong together."""
    commit = revisions.commit_of(root, HEAD)
    if commit is None:
        message = "there is no commit yet. Train, then run `git add dvc.lock params.yaml && git commit`."
        raise GraftError(message)
    if changed := revisions.uncommitted(root):
        message = (
            f"{join(changed)} {'has' if len(changed) == 1 else 'have'} changes that are not committed, and only a "
            "committed run can be promoted. Run `graft train`, then `git add dvc.lock params.yaml && git commit`."
        )
        raise GraftError(message)
    if not (root / revisions.LOCK).is_file():
        message = "dvc.lock is missing: there is no run to promote. Run `graft train` and commit dvc.lock."
        raise GraftError(message)
    if key := revisions.param_not_in_run(root):
        message = (
            f"params.yaml has another {key} than the run in dvc.lock. Run `graft train`, then "
            "`git add dvc.lock params.yaml && git commit`."
        )
        raise GraftError(message)
    return Candidate(commit, registry.artifact_name(root))


def find_champion(root: Path) -> Version | None:
    """Return the version in use; raises GraftError where a shallow clone may hide it."""
    champion = registry.champion(root)
    if champion is None and revisions.is_shallow(root):
        message = "this clone is shallow and has no tag of a version. Run `git fetch --unshallow --tags`."
        raise GraftError(message)
    return champion


def judge(root: Path, candidate: Candidate, champion: Version) -> Result:
    """Compare the candidate with the champion on the candidate's test images, print the figures, return the result.

    The champion's model runs over the images that it has not tested. Those that it was trained on are left out.

    Raises:
        GraftError: The files of a run cannot be fetched, an image is missing, or no image is left.
    """
    with TemporaryDirectory(prefix="graft-", dir=_temporary(root)) as temporary:
        folder = Path(temporary)
        files = (*FILES, ACCEPTED)
        before = Run(revisions.fetch(root, champion.commit, files, folder / "before"), champion.name)
        after = Run(revisions.fetch(root, candidate.commit, files, folder / "after"), candidate.name)
        answers = _ask_champion(root, champion, before, after, folder)
        document = comparison.compare(root, before, after, "--leave-out-trained", *answers)
        return RESULTS[document["verdict"]]


def decide(root: Path, candidate: Candidate, champion: Version | None, *, force: bool) -> Result:
    """Judge the candidate, tag it if it is promoted or if `force`, and print each step.

    Raises:
        GraftError: The runs cannot be compared and `force` is false, or the tags cannot be made.
    """
    if champion is None:
        print("no champion yet: the first version needs no comparison")
        result: Result = "promote"
    elif champion.commit == candidate.commit:
        print(f"{candidate.name} is {candidate.artifact}@{champion.name}, the champion: nothing to promote")
        return "tie"
    else:
        print(f"champion   {candidate.artifact}@{champion.name}\ncandidate  {candidate.name}\n")
        result = _judge_or_force(root, candidate, champion, force=force)
        print(f"\nresult: {result}{REASONS[result]}")
    if result == "promote" or force:
        tags = registry.promote(root, candidate.commit)
        print(f"tagged {candidate.commit[:7]} as {' and '.join(tags)}")
        print("next: dvc push && git push --tags")
    else:
        print("no tag was made; `graft promote --force` makes it all the same")
    return result


def _judge_or_force(root: Path, candidate: Candidate, champion: Version, *, force: bool) -> Result:
    """Judge the candidate; with `force`, a comparison that fails is a tie."""
    try:
        return judge(root, candidate, champion)
    except GraftError as error:
        if not force:
            message = f"{error} Without a comparison, `graft promote --force` promotes."
            raise GraftError(message) from error
        print(f"not compared: {error}")
        return "tie"


def _ask_champion(root: Path, champion: Version, before: Run, after: Run, folder: Path) -> list[str]:
    """Run the champion's model over the test images that are new to it; return the option that names its answers."""
    images, answers, model = folder / "images", folder / "answers.parquet", registry.model_path(root)
    source = params.load(root / PARAMS).dataset.source
    runs = [f"--before={before.folder}", f"--after={after.folder}"]
    options = (*runs, f"--images={source}", f"--out={images}")
    number = int(process.run_module(root, "tasks.comparison.untested", *options, prefix=PROMOTE))
    if number == 0:
        return []
    print(f"asking {champion.name} about {count(number, 'test image')} that it has not seen", flush=True)
    file = revisions.fetch(root, champion.commit, [model], folder / "model") / model
    options = (f"--model={file}", "--parquet", f"--out={answers}", str(images))
    process.run_module(root, "graft", "predict", *options, prefix=PREDICT)
    return [f"--answers={answers}"]


def _temporary(root: Path) -> Path:
    """Return the folder for temporary files: near the images, which can then be linked as a rule."""
    folder = workspace.repository(root, ".dvc") / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
