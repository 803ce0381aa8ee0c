"""Digests, as hex. Ids and ledger keys are made of them: what each function gives is fixed."""

import hashlib
from io import BufferedIOBase
from pathlib import Path


def blake2b(data: bytes, size: int = 16) -> str:
    """Return the BLAKE2b digest of `size` bytes, twice as many hex digits."""
    return hashlib.blake2b(data, digest_size=size).hexdigest()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(file: Path | BufferedIOBase) -> str:
    """Return the SHA-256 of a file's bytes, given by path or open for reading."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return sha256_of_file(opened)
    return hashlib.file_digest(file, "sha256").hexdigest()
