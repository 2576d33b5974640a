"""HTTP responses: whether one carries the bytes that were requested, and which version of the file they are from."""

import re
from http import HTTPStatus

import httpx

from tasks.backbone.download.addresses import without_credentials

INTEGER = r"([0-9]{1,18})"


class TransientError(Exception):
    """An attempt failed for a reason that may pass; `delay` is in seconds, None for the usual backoff."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        """Keep the reason and the delay before the next attempt."""
        super().__init__(reason)
        self.delay = delay


class PermanentError(Exception):
    """An attempt failed, and another one would fail in the same way."""


def refuse_downgrade(response: httpx.Response) -> None:
    """Raise PermanentError when an encrypted connection redirects to one that can be tampered with."""
    if response.has_redirect_location:
        target = response.url.join(response.headers["Location"])
        if response.url.scheme == "https" and target.scheme == "http":
            message = f"it redirects from https to {without_credentials(target)}"
            raise PermanentError(message)


def check_response(response: httpx.Response, *, range_requested: bool) -> None:
    """Raise TransientError or PermanentError unless the response carries the bytes of the file."""
    status = response.status_code
    reason = f"the server answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.is_server_error:
        raise TransientError(reason, delay=parse_integer(response.headers.get("Retry-After", "")))
    range_statuses = {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
    if status != HTTPStatus.OK and not (range_requested and status in range_statuses):
        raise PermanentError(reason)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        message = f"the server sends it encoded ({encoding!r}) though it was asked not to"
        raise PermanentError(message)


def find_remaining_size(response: httpx.Response, offset: int, validator: str | None) -> int | None:
    """Return how many bytes a response to a range request brings; None when they are not exactly the missing ones."""
    match = re.fullmatch(f"bytes {offset}-{INTEGER}/{INTEGER}", response.headers.get("Content-Range", ""))
    if match is None or validator not in {None, find_validator(response)}:
        return None
    last, total = map(int, match.groups())
    length = parse_integer(response.headers.get("Content-Length", ""))
    return total - offset if offset <= last == total - 1 and length in {None, total - offset} else None


def parse_integer(text: str) -> int | None:
    """Return the number that a header holds; None when it holds no plain number of at most 18 digits."""
    return int(text) if re.fullmatch(INTEGER, text) else None


def find_validator(response: httpx.Response) -> str | None:
    """Return the header that identifies this version of the file: a strong ETag, or else Last-Modified."""
    etag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[!#-~]*"', etag):
        return etag
    modified = response.headers.get("Last-Modified", "")
    return modified if re.fullmatch(r"[ -~]+", modified) else None
