"""Weights that a step or scorer uses, and what it needs of a machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vexpress.hashes import sha256, sha256_of_file


@dataclass(frozen=True)
class Weights:
    """Weights that a run uses, as its row in the table `runs` names them."""

    name: str
    """What they are for, and the back end or model."""
    files: list[str]
    sha256: str
    """Digest of the files' bytes (`file_digest`)."""
    licence: str


def read_weights(name: str, files: Iterable[Path], licence: str) -> Weights:
    """Return the weights in `files`, which are read for their digest."""
    paths = list(files)
    return Weights(name, [str(path) for path in paths], file_digest(paths), licence)


@dataclass(frozen=True)
class Need:
    """Something that a step or scorer needs or can use: one line of `vexpress doctor`."""

    name: str
    """What it is for, and the back end or model."""
    found: str
    """Where it is, or what is there instead."""
    is_here: bool
    todo: str = ""
    """What to do where it is not here; empty: install the project again."""
    required: bool = False
    """Whether curation cannot do without it."""


def file_digest(paths: Iterable[Path]) -> str:
    """Return a digest of the files' bytes, the same on every machine."""
    return sha256(b"".join(bytes.fromhex(sha256_of_file(path)) for path in paths))[:32]
