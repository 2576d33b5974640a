"""Damaged image files in large numbers: decoding must give an image or the reason, and nothing else.

    python -m tests.tasks.images.fuzzing --cases 10000 --seed 0

Each case is a valid file with one to four mutations, decoded exactly and at a reduced scale in a pool of processes. It
prints a table of formats and outcomes and the slowest case. The exit code is 1 if decoding raised another error than
ImageError, returned no RGB pixels, took too long or too much memory, or printed something. A native decoder that ends
the process is counted, and its file is kept, but does not fail the run: callers decode in processes for this reason.
"""

import argparse
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pebble import ProcessExpired, ProcessPool
from rich.console import Console
from rich.table import Table

from tasks.common.errors import ImageError
from tasks.images.decoding import Decoded, decode
from tests.tasks.images.valid_files import VALID_FILES

NAMES = list(VALID_FILES)
MIN_SIDE = 8  # reduces the files, whose sides are 48 and 64, to a quarter
MAX_MEGAPIXELS = 16.0
MAX_SECONDS = 10.0
MAX_REASON = 200  # characters
MAX_MEGABYTES = 600  # of additional memory; 16 megapixels take 48 MB as pixels, and 64 MB several times while converted
CUT, FLIP, FILL, REPEAT, SPLICE, NUMBER = range(6)
EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


class Outcome(NamedTuple):
    """The result of a case: the name of its file, "decoded" or the kind of the refusal, and a defect of ours or ""."""

    name: str
    result: str
    seconds: float
    defect: str


def make_case(seed: int, number: int) -> tuple[str, bytes]:
    """Return the name of the valid file and the damaged file of a case; the same for the same arguments."""
    generator = random.Random(f"{seed} {number}")  # noqa: S311  No secret.
    name = NAMES[number % len(NAMES)]
    content = bytearray(VALID_FILES[name][1])
    for _ in range(generator.randint(1, 4)):
        mutate(content, generator)
    return name, bytes(content)


def mutate(content: bytearray, generator: random.Random) -> None:
    """Damage a file once, in place; headers, which stand first, are hit more often."""
    end = min(len(content), 200) if generator.random() < 1 / 2 else len(content)
    start = generator.randrange(end) if end else 0
    length = min(generator.choice([1, 4, 16, 100, 1000]), len(content) - start)
    kind = generator.choices([CUT, FLIP, FILL, REPEAT, SPLICE, NUMBER], [1, 6, 2, 1, 2, 4])[0]
    if kind == CUT:
        del content[start : len(content) if generator.random() < 1 / 2 else start + length]
    elif kind == FLIP:
        for position in range(start, start + min(length, 4)):
            content[position] ^= 1 << generator.randrange(8)
    elif kind == FILL:
        content[start : start + length] = bytes([generator.choice([0, 255])]) * length
    elif kind == REPEAT:
        content[start:start] = content[start : start + length] * generator.choice([1, 2, 50])
    elif kind == SPLICE:
        other = VALID_FILES[generator.choice(NAMES)][1]
        content[start:] = other[min(start, len(other) - 1) :]
    else:
        size = generator.choice([1, 2, 4])
        value = generator.choice(EXTREMES) % 2 ** (8 * size)
        content[start : start + size] = value.to_bytes(size, generator.choice(["little", "big"]))


def decode_case(content: bytes, min_side: int | None) -> Decoded | ImageError:
    """Return the image or the error that a user would see; everything else is raised."""
    try:
        image = decode(content, MAX_MEGAPIXELS, min_side)
    except ImageError as error:
        if not 0 < len(str(error)) < MAX_REASON or not str(error).isprintable() or " at 0x" in str(error):
            message = f"not a reason of one line that is the same in every run: {str(error)!r}"
            raise AssertionError(message) from error
        return error
    assert image.pixels.dtype == "uint8", f"pixels are {image.pixels.dtype}"
    assert image.pixels.ndim == 3, f"pixels are {image.pixels.shape}"
    assert image.pixels.shape[2] == 3, f"pixels are {image.pixels.shape}"
    assert image.pixels.size, "no pixels"
    return image


def run_case(seed: int, number: int) -> Outcome:
    """Decode a case exactly and at a reduced scale."""
    name, content = make_case(seed, number)
    memory = _peak_megabytes()
    start = time.perf_counter()
    result, defect = "raised", ""
    try:
        exact = decode_case(content, None)
        scaled = decode_case(content, MIN_SIDE)
        result = exact.kind.value if isinstance(exact, ImageError) else "decoded"
        if isinstance(exact, Decoded) and isinstance(scaled, Decoded):
            assert exact[1:] == scaled[1:], f"{exact[1:]} exactly, but {scaled[1:]} scaled"
        else:
            assert type(exact) is type(scaled), f"'{exact}' exactly, but '{scaled}' scaled"
    except Exception:  # noqa: BLE001  Any other error is a defect.
        defect = traceback.format_exc()
    seconds = time.perf_counter() - start
    grown = _peak_megabytes() - memory
    if grown > MAX_MEGABYTES:
        defect += f"took {grown} MB of memory"
    return Outcome(name, result, seconds, defect)


def _peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def run_cases(cases: int, seed: int, printed: Path) -> Iterator[Outcome]:
    """Yield the outcome of each case; what decoders print goes to the file `printed`."""
    with ProcessPool(max_workers=os.cpu_count() or 1, initializer=_redirect, initargs=[printed]) as pool:
        futures = {number: pool.schedule(run_case, [seed, number], timeout=MAX_SECONDS) for number in range(cases)}
        for number, future in futures.items():
            name = NAMES[number % len(NAMES)]
            try:
                yield future.result()
            except ProcessExpired as error:
                yield Outcome(name, "crashed", 0.0, f"the process ended with code {error.exitcode}")
            except TimeoutError:
                yield Outcome(name, "too slow", MAX_SECONDS, f"took more than {MAX_SECONDS:g} s")


def _redirect(printed: Path) -> None:
    with printed.open("ab") as file:
        for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(file.fileno(), descriptor)


def main() -> int:
    """Run the cases that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description="Decode damaged image files.")
    parser.add_argument("--cases", type=int, default=10_000, help="how many files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other files (default: %(default)s)")
    parser.add_argument(
        "--keep", type=Path, help="folder for the files of defects and crashes (default: a temporary one)"
    )
    arguments = parser.parse_args()
    console = Console(width=120, soft_wrap=True)
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="graft-fuzzing-"))
    folder.mkdir(parents=True, exist_ok=True)
    printed = folder / "printed.txt"
    printed.touch()
    counts: Counter[tuple[str, str]] = Counter()
    slowest = (0.0, 0)
    defects = 0
    for number, outcome in enumerate(run_cases(arguments.cases, arguments.seed, printed)):
        counts[VALID_FILES[outcome.name][0], outcome.result] += 1
        slowest = max(slowest, (outcome.seconds, number))
        if outcome.defect:
            path = folder / f"{arguments.seed}-{number}.bin"
            path.write_bytes(make_case(arguments.seed, number)[1])
            console.print(f"case {number} ({outcome.name}), kept as {path}: {outcome.defect}", markup=False)
            defects += outcome.result != "crashed"
    if printed.stat().st_size:
        defects += 1
        console.print(f"decoders printed, for example: {printed.read_text(errors='replace')[:500]}", markup=False)
    if not arguments.keep and [*folder.iterdir()] == [printed] and not printed.stat().st_size:
        shutil.rmtree(folder)
    console.print(_as_table(counts))
    console.print(
        f"{arguments.cases} cases, seed {arguments.seed}: {defects} defects, "
        f"slowest case {slowest[1]} in {slowest[0]:.2f} s"
    )
    return 1 if defects else 0


def _as_table(counts: Counter[tuple[str, str]]) -> Table:
    results = sorted({result for _, result in counts})
    table = Table("format", *results)
    for name in sorted({name for name, _ in counts}):
        table.add_row(name, *(str(counts[name, result]) for result in results))
    return table


if __name__ == "__main__":
    sys.exit(main())
