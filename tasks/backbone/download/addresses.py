"""Addresses of weight files: checked, moved to a mirror, and shown without passwords."""

import os
import re

import httpx

from tasks.common.errors import GraftError


def resolve_address(url: str) -> httpx.URL:
    """Return the address to download `url` from: `url` itself, or the same path below GRAFT_MIRROR.

    Raises:
        GraftError: `url` or GRAFT_MIRROR is not an HTTP address.
    """
    address = _parse(url, "the address of the weights")
    mirror = os.environ.get("GRAFT_MIRROR")
    if not mirror:
        return address
    base = _parse(mirror, "GRAFT_MIRROR")
    if base.query or base.fragment:
        message = f"GRAFT_MIRROR must end with a path, which paths are added to; found {without_credentials(base)}."
        raise GraftError(message)
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + address.raw_path)


def without_credentials(url: httpx.URL) -> httpx.URL:
    """Return the URL without user name and password, so that it may be shown and logged."""
    return url.copy_with(userinfo=b"")


def _parse(text: str, subject: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        shown = re.sub(r"^(\w+://)?.*@", r"\1", text, flags=re.DOTALL)  # the text may hold a password
        message = f"{subject} must be a URL such as https://host/path; found {shown!r}."
        raise GraftError(message)
    return url
