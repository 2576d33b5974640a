"""The comparison of all runtimes with the reference, and the verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graft.conformance.execution import Answer, Failure, run
from graft.conformance.pixels import Pixels
from graft.conformance.runtimes.runtime import Runtime
from graft.conformance.variants import TOLERANCE, Variant
from graft.model_file import PROBABILITIES
from tasks.common.errors import GraftError


class Verdict(StrEnum):
    """Whether a runtime can be used with a file."""

    REFERENCE = "reference"
    FIT = "fit"
    DO_NOT_USE = "do not use"
    NOT_INSTALLED = "not installed"
    NO_FILE = "no file"


class Row(NamedTuple):
    """The result of a runtime with a file.

    Attributes:
        runtime: name of the runtime.
        version: of the runtime, if it is installed.
        variant: name of the file, if the runtime is installed.
        verdict: whether the two go together.
        images: number of images compared.
        agreeing: number of those with the same most probable class.
        difference: largest difference of a probability or of `known`; None if there is no answer.
        milliseconds: median time of an image.
        tolerance: the difference up to which the verdict is `fit`.
        reason: why there is no answer, on one line.
        remark: a setting of the runtime that a user has to know of.
        advice: the file with which this runtime is fit, if this one is not; or how to get the runtime or its file.
    """

    runtime: str
    verdict: Verdict
    version: str | None = None
    variant: str | None = None
    images: int = 0
    agreeing: int = 0
    difference: float | None = None
    milliseconds: float | None = None
    tolerance: float | None = None
    reason: str = ""
    remark: str = ""
    advice: str = ""


class Job(NamedTuple):
    """A runtime, its version if it is installed, and the file to predict with if there is one that it reads."""

    runtime: Runtime
    version: str | None = None
    variant: Variant | None = None


def plan(runtimes: Iterable[Runtime], variants: Sequence[Variant], node: Path) -> list[Job]:
    """Return each runtime with each file that it reads; `node` is the folder of JavaScript packages."""
    jobs = []
    for runtime in runtimes:
        version = runtime.find(node)
        if version is None:
            jobs.append(Job(runtime))
        else:
            readable = [variant for variant in variants if variant.path.suffix == runtime.suffix]
            jobs += [Job(runtime, version, variant) for variant in readable] or [Job(runtime, version)]
    return jobs


class Comparison:
    """The comparison of runtimes with a reference, which has to come first.

    The answers of the reference for the same file are the measure, and those for the model where it cannot read the
    file. Its own rows state how far the other files are from the model.
    """

    def __init__(
        self,
        reference: Runtime,
        outputs: list[str],
        pixels: Mapping[bool, Pixels],
        folder: Path,
        node: Path,
        seconds: float,
    ) -> None:
        """Keep the settings.

        Args:
            reference: the runtime that is right by definition.
            outputs: names of the outputs that are compared.
            pixels: the images as they are (False) and resized (True).
            folder: for the files that go between processes.
            node: the folder of JavaScript packages.
            seconds: time limit of each process.
        """
        self._reference = reference
        self._outputs = outputs
        self._pixels = pixels
        self._folder = folder
        self._node = node
        self._seconds = seconds
        self._expected: dict[str, Answer] = {}

    @property
    def is_one_class(self) -> bool:
        """Whether the reference names the same class for all images, so that the comparison proves little."""
        answers = list(self._expected.values())[:1]
        return all(len(set(answer.outputs[PROBABILITIES].argmax(axis=1).tolist())) == 1 for answer in answers)

    def run(self, job: Job) -> Row:
        """Run a runtime with a file and return its row.

        Raises:
            GraftError: The reference itself fails.
        """
        runtime, version, variant = job
        if version is None:
            return Row(runtime.name, Verdict.NOT_INSTALLED, advice=runtime.install(self._node))
        if variant is None:
            return Row(runtime.name, Verdict.NO_FILE, version, advice=runtime.without_file)
        pixels = self._pixels[variant.takes_resized]
        answer = run(runtime.command(self._node), variant, pixels, self._outputs, self._folder, self._seconds)
        row = Row(
            runtime.name,
            Verdict.DO_NOT_USE,
            version,
            variant.name,
            tolerance=variant.tolerance,
            remark=runtime.remark,
        )
        if runtime != self._reference:
            model_answer = next(iter(self._expected.values()))
            return _judge(row, answer, self._expected.get(variant.name, model_answer))
        if isinstance(answer, Failure):
            message = f"{variant.name} cannot be run by {runtime.name} {version}: {answer.reason}."
            raise GraftError(message)
        self._expected[variant.name] = answer
        judged = _judge(row, answer, next(iter(self._expected.values())))
        return judged._replace(verdict=Verdict.REFERENCE)


def advise(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with advice: where a runtime is not fit for a file, the first exact file for which it is."""
    fit: dict[str, str] = {}
    for row in rows:
        if row.verdict == Verdict.FIT and row.variant is not None and row.tolerance == TOLERANCE:
            fit.setdefault(row.runtime, row.variant)
    return [row._replace(advice=fit.get(row.runtime, "")) if row.verdict == Verdict.DO_NOT_USE else row for row in rows]


def _judge(row: Row, answer: Answer | Failure, expected: Answer) -> Row:
    """Return the row with the figures and the verdict."""
    if isinstance(answer, Failure):
        return row._replace(reason=answer.reason)
    names = list(answer.outputs)
    if PROBABILITIES not in names:
        return row._replace(reason=f"its answer lacks the output '{PROBABILITIES}'")
    count = min(len(answer.outputs[PROBABILITIES]), len(expected.outputs[PROBABILITIES]))
    actual = [answer.outputs[name][:count] for name in names]
    wanted = [expected.outputs[name][:count] for name in names]
    for name, values, other in zip(names, actual, wanted, strict=True):
        if values.shape != other.shape:
            reason = f"its output '{name}' has {values[0].size:,} numbers for an image, not {other[0].size:,}"
            return row._replace(reason=reason)
    position = names.index(PROBABILITIES)
    agreeing = int((actual[position].argmax(axis=1) == wanted[position].argmax(axis=1)).sum())
    # A difference from NaN is NaN, for which the comparison is false.
    difference = float(np.max([np.abs(values - other).max() for values, other in zip(actual, wanted, strict=True)]))
    is_fit = agreeing == count and row.tolerance is not None and difference <= row.tolerance
    return row._replace(
        verdict=Verdict.FIT if is_fit else Verdict.DO_NOT_USE,
        images=count,
        agreeing=agreeing,
        difference=difference,
        milliseconds=answer.milliseconds,
    )
