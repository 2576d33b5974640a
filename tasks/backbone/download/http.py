"""HTTP client that downloads one file: it retries, resumes, and never takes an incomplete file for a complete one."""

import os
import shutil
from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from tasks.backbone.download.addresses import without_credentials
from tasks.backbone.download.partial_file import PartialFile
from tasks.backbone.download.responses import (
    PermanentError,
    TransientError,
    check_response,
    find_remaining_size,
    find_validator,
    parse_integer,
    refuse_downgrade,
)
from tasks.common.errors import DownloadError, GraftError
from tasks.common.progress import say, track

MAX_ATTEMPTS = 5
FIRST_DELAY = 2.0
MAX_DELAY = 60.0
TIMEOUT = httpx.Timeout(60, connect=15)
MAX_REDIRECTS = 10
MAX_BYTES = 16 << 30
CHUNK = 1 << 20


def download_file(
    url: httpx.URL,
    partial: PartialFile,
    remedy: str,
    *,
    has_hash: bool,
    timeout: httpx.Timeout = TIMEOUT,
    max_bytes: int = MAX_BYTES,
) -> bool:
    """Download `url` into the partial file, resuming after the bytes that are already there.

    `has_hash` says that the caller checks the file against a known hash. Only then are bytes of an unknown version
    resumed, and only then may a body end without an announced length. `max_bytes` limits a body of unknown length.

    Returns:
        True when a single response of known length brought the whole file. False when the file was put together from
        several responses, or its length is unknown: then only the hash can tell whether it is correct.

    Raises:
        DownloadError: the last attempt failed for a reason that may pass.
        GraftError: another attempt cannot help. Both messages end with `remedy`.
    """
    retrying = Retrying(
        stop=stop_after_attempt(MAX_ATTEMPTS),
        wait=_choose_delay,
        retry=retry_if_exception_type(TransientError),
        before_sleep=_report_retry,
        reraise=True,
    )
    client = httpx.Client(
        auth=httpx.BasicAuth(url.username, url.password) if url.userinfo else None,
        timeout=timeout,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"response": [refuse_downgrade]},
    )
    # From here on only this address is used, because any library may log or show the URL that it is given.
    address = without_credentials(url)
    try:
        with client:
            return retrying(_attempt, client, address, partial, has_hash=has_hash, max_bytes=max_bytes)
    except TransientError as error:
        message = f"cannot download {address}: {error}, after {MAX_ATTEMPTS} tries. {remedy}"
        raise DownloadError(message) from error
    except PermanentError as error:
        message = f"cannot download {address}: {error}. {remedy}"
        raise GraftError(message) from error


def _choose_delay(state: RetryCallState) -> float:
    """Return the seconds before the next attempt: what the server asks for, or exponential backoff."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.delay is not None:
        return min(error.delay, MAX_DELAY)
    return wait_exponential(multiplier=FIRST_DELAY, max=MAX_DELAY)(state)


def _report_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    say(f"backbone: {error}; try {state.attempt_number + 1} of {MAX_ATTEMPTS} in {state.upcoming_sleep:g} s")


def _attempt(client: httpx.Client, url: httpx.URL, partial: PartialFile, *, has_hash: bool, max_bytes: int) -> bool:
    """Make one request, and turn the errors of httpx into transient and permanent ones."""
    try:
        return _request(client, url, partial, has_hash=has_hash, max_bytes=max_bytes)
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects) as error:
        raise PermanentError(str(error).rstrip(".")) from error
    except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a label of more than 63 letters in the host
        message = "it is, or redirects to, an address that is not valid"
        raise PermanentError(message) from error
    except httpx.TimeoutException as error:
        seconds = client.timeout.connect if isinstance(error, httpx.ConnectTimeout) else client.timeout.read
        message = f"nothing came for {seconds:g} s"
        raise TransientError(message) from error
    except httpx.TransportError as error:
        raise TransientError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error


def _request(client: httpx.Client, url: httpx.URL, partial: PartialFile, *, has_hash: bool, max_bytes: int) -> bool:
    validator = partial.read_validator(str(url))
    offset = partial.size if has_hash or validator else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and hashes are those of the bytes as they are sent
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    with client.stream("GET", url, headers=headers) as response:
        check_response(response, range_requested=offset > 0)
        if response.status_code == HTTPStatus.OK:
            offset = 0
            size = parse_integer(response.headers.get("Content-Length", ""))
        else:
            size = find_remaining_size(response, offset, validator)
            if size is None:
                partial.discard()
                message = "the server did not send just the bytes that are missing"
                raise TransientError(message, delay=0)
        if size is None and not has_hash and "chunked" not in response.headers.get("Transfer-Encoding", "").lower():
            message = "the server does not tell the file's length, so nothing could tell whether it is whole"
            raise PermanentError(message)
        with partial.path.open("ab" if offset else "wb") as file:
            if not offset:  # the old bytes are gone and the new ones have not come: the note cannot describe others
                partial.write_note(str(url), find_validator(response))
            length = "of unknown length" if size is None else f"{(offset + size) / 1e6:,.1f} MB"
            say(f"backbone: downloading {url} ({length}{f', after the first {offset:,} bytes' if offset else ''})")
            _write_body(response, file, partial, size, max_bytes)
    partial.remove_note()
    return not offset and size is not None


def _write_body(
    response: httpx.Response, file: BinaryIO, partial: PartialFile, size: int | None, max_bytes: int
) -> None:
    """Write the body of `size` bytes to `file` and to the disk, which must have room for it."""
    folder = partial.path.parent
    if size is not None and size > (free := shutil.disk_usage(folder).free):
        message = (
            f"the file needs {size / 1e6:,.1f} MB, but {folder} has {free / 1e6:,.1f} MB free. "
            "Make room there, or set GRAFT_CACHE to a folder on a larger disk."
        )
        raise GraftError(message)
    chunks = _write_pieces(response, file, partial, size, max_bytes)
    for _ in track(chunks, -(-(size or 0) // CHUNK), "backbone: download", "MiB"):
        pass
    file.flush()
    os.fsync(file.fileno())


def _write_pieces(
    response: httpx.Response, file: BinaryIO, partial: PartialFile, size: int | None, max_bytes: int
) -> Iterator[int]:
    """Write each piece as it comes, so that none is lost when the next does not; yield after every MiB and at the end.

    Raises TransientError when bytes are missing, PermanentError when there are more than announced, or than sensible.
    """
    written = reported = 0
    limit = max_bytes if size is None else size
    for piece in response.iter_raw():
        written += len(piece)
        if written > limit:
            partial.discard()
            message = f"the server sends more than {'a sensible' if size is None else 'the announced'} {limit:,} bytes"
            raise PermanentError(message)
        file.write(piece)
        file.flush()  # a killed process loses what Python still buffers
        if written - reported >= CHUNK:
            reported += CHUNK
            yield written
    if size is not None and written < size:
        message = f"the connection was closed after {written:,} of {size:,} bytes"
        raise TransientError(message)
    if written > reported:
        yield written
