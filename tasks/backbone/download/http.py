"""One URL to one file: retried, resumed where it broke off, and never taken for whole when bytes are missing."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from tasks.common.errors import DownloadError, GraftError
from tasks.common.files import atomic_file
from tasks.common.progress import say, track

TRIES = 5
FIRST_WAIT = 2.0
LONGEST_WAIT = 60.0
TIMEOUT = httpx.Timeout(60, connect=15)
REDIRECTS = 10
LARGEST = 16 << 30
CHUNK = 1 << 20

NUMBER = r"([0-9]{1,18})"


class PassingError(Exception):
    """One try failed for a reason that may pass; `wait` is the seconds to wait, None for the usual backoff."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep the reason and the wait."""
        super().__init__(reason)
        self.wait = wait


class LastingError(Exception):
    """One try failed, and another one would end in the same way."""


def download(url: httpx.URL, part: Path, remedy: str, *, checked: bool) -> bool:
    """Bring all bytes of `url` into `part`, going on from those that are there; tell whether they are surely one file.

    They are when one answer of known length brought them all. `checked` says that the caller holds the file to a hash:
    only then bytes without a validator are gone on from, and an end without an announced length is believed.
    Raises DownloadError after the last try, GraftError when trying again is of no use; both end with `remedy`.
    """
    retrying = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=_seconds_to_wait,
        retry=retry_if_exception_type(PassingError),
        before_sleep=_tell,
        reraise=True,
    )
    client = httpx.Client(
        auth=httpx.BasicAuth(url.username, url.password) if url.userinfo else None,
        timeout=TIMEOUT,
        follow_redirects=True,
        max_redirects=REDIRECTS,
        event_hooks={"response": [refuse_downgrade]},
    )
    address = without_password(url)  # from here on: logs, notes and messages of any library show what they are given
    try:
        with client:
            return retrying(_try, client, address, part, checked=checked)
    except PassingError as error:
        message = f"cannot download {address}: {error}, after {TRIES} tries. {remedy}"
        raise DownloadError(message) from error
    except LastingError as error:
        message = f"cannot download {address}: {error}. {remedy}"
        raise GraftError(message) from error


def discard(part: Path) -> None:
    """Remove what has arrived, and the note that goes with it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def without_password(url: httpx.URL) -> httpx.URL:
    """Return the URL as it may be shown: without user name and password."""
    return url.copy_with(userinfo=b"")


def refuse_downgrade(response: httpx.Response) -> None:
    """Raise LastingError when an encrypted connection redirects to one that anybody on the way can change."""
    if response.has_redirect_location:
        target = response.url.join(response.headers["Location"])
        if response.url.scheme == "https" and target.scheme == "http":
            message = f"it redirects from https to {without_password(target)}"
            raise LastingError(message)


def _seconds_to_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, PassingError) and error.wait is not None:
        return min(error.wait, LONGEST_WAIT)
    return wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)(state)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    say(f"backbone: {error}; try {state.attempt_number + 1} of {TRIES} in {state.upcoming_sleep:g} s")


def _try(client: httpx.Client, url: httpx.URL, part: Path, *, checked: bool) -> bool:
    try:
        return _request(client, url, part, checked=checked)
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects) as error:
        raise LastingError(str(error).rstrip(".")) from error
    except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a label of more than 63 letters in the host
        message = "it is, or redirects to, an address that is not valid"
        raise LastingError(message) from error
    except httpx.TimeoutException as error:
        seconds = TIMEOUT.connect if isinstance(error, httpx.ConnectTimeout) else TIMEOUT.read
        message = f"nothing came for {seconds:g} s"
        raise PassingError(message) from error
    except httpx.TransportError as error:
        raise PassingError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error


def _request(client: httpx.Client, url: httpx.URL, part: Path, *, checked: bool) -> bool:
    validator = _noted(part, url)
    held = part.stat().st_size if part.is_file() and (checked or validator) else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and hashes are those of the bytes on the wire
    if held:
        headers["Range"] = f"bytes={held}-"
        if validator:
            headers["If-Range"] = validator
    with client.stream("GET", url, headers=headers) as response:
        _judge(response, asked_for_range=held > 0)
        if response.status_code == HTTPStatus.OK:
            held = 0
            size = _number(response.headers.get("Content-Length", ""))
        else:
            size = _rest(response, held, validator)
        if held and size is None:
            discard(part)
            message = "the server did not send just the bytes that are missing"
            raise PassingError(message, wait=0)
        if size is None and not checked and "chunked" not in response.headers.get("Transfer-Encoding", "").lower():
            message = "the server does not tell the file's length, so nothing could tell whether it is whole"
            raise LastingError(message)
        with part.open("ab" if held else "wb") as file:
            if not held:  # after the old bytes are gone and before new ones come: a note never vouches for others
                _take_note(part, url, _validator(response))
            told = "of unknown length" if size is None else f"{(held + size) / 1e6:,.1f} MB"
            say(f"backbone: downloading {url} ({told}{f', after the first {held:,} bytes' if held else ''})")
            _receive(response, file, size)
    _note(part).unlink(missing_ok=True)
    return not held and size is not None


def _judge(response: httpx.Response, *, asked_for_range: bool) -> None:
    status = response.status_code
    told = f"the server answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.is_server_error:
        raise PassingError(told, wait=_number(response.headers.get("Retry-After", "")))
    of_a_range = {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
    if status != HTTPStatus.OK and not (asked_for_range and status in of_a_range):
        raise LastingError(told)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        message = f"the server sends it encoded ({encoding!r}) though it was asked not to"
        raise LastingError(message)


def _rest(response: httpx.Response, held: int, validator: str | None) -> int | None:
    """Return how many bytes an answer to a range request brings; None when they are not the ones that are missing."""
    found = re.fullmatch(f"bytes {held}-{NUMBER}/{NUMBER}", response.headers.get("Content-Range", ""))
    if found is None or validator not in {None, _validator(response)}:
        return None
    last, total = map(int, found.groups())
    length = _number(response.headers.get("Content-Length", ""))
    return total - held if held <= last == total - 1 and length in {None, total - held} else None


def _receive(response: httpx.Response, file: BinaryIO, size: int | None) -> None:
    """Write the body to `file`, which must have room for it."""
    folder = Path(file.name).parent
    if size is not None and size > (free := shutil.disk_usage(folder).free):
        message = (
            f"the file needs {size / 1e6:,.1f} MB, but {folder} has {free / 1e6:,.1f} MB free. "
            "Make room there, or set GRAFT_CACHE to a folder on a larger disk."
        )
        raise GraftError(message)
    for _ in track(_written(response, file, size), -(-(size or 0) // CHUNK), "backbone: download", "MiB"):
        pass
    file.flush()
    os.fsync(file.fileno())


def _written(response: httpx.Response, file: BinaryIO, size: int | None) -> Iterator[int]:
    """Write each piece as it comes, so that none is lost when the next does not; yield after every MiB and at the end.

    Raises PassingError when bytes are missing, LastingError when there are more than announced, or more than sensible.
    """
    done = told = 0
    limit = LARGEST if size is None else size
    for piece in response.iter_raw():
        done += len(piece)
        if done > limit:
            discard(Path(file.name))
            message = f"the server sends more than {'a sensible' if size is None else 'the announced'} {limit:,} bytes"
            raise LastingError(message)
        file.write(piece)
        if done - told >= CHUNK:
            told += CHUNK
            yield done
    if size is not None and done < size:
        message = f"the connection was closed after {done:,} of {size:,} bytes"
        raise PassingError(message)
    if done > told:
        yield done


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(NUMBER, text) else None


def _validator(response: httpx.Response) -> str | None:
    """Return what names this version of the file: the strong ETag, or else Last-Modified."""
    etag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[!#-~]*"', etag):
        return etag
    modified = response.headers.get("Last-Modified", "")
    return modified if re.fullmatch(r"[ -~]+", modified) else None


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _take_note(part: Path, url: httpx.URL, validator: str | None) -> None:
    with atomic_file(_note(part)) as temporary:
        temporary.write_text(json.dumps({"url": str(url), "validator": validator}), encoding="utf-8")


def _noted(part: Path, url: httpx.URL) -> str | None:
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or a damaged one: the bytes are good only for a file with a hash
        return None
    match note:
        case {"url": found, "validator": str(validator)} if found == str(url):
            return validator
    return None
