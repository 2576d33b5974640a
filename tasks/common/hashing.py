"""MD5 and SHA-256 digests of files."""

import hashlib
from pathlib import Path

ALGORITHMS = {32: "MD5", 64: "SHA-256"}
"""Hash algorithms by the number of hexadecimal digits in their digest."""


def hash_file(path: Path, like: str | None = None) -> str:
    """Return the digest of a file in hexadecimal, of the same algorithm as the digest `like`; SHA-256 for None."""
    algorithm = "md5" if like is not None and ALGORITHMS[len(like)] == "MD5" else "sha256"
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
