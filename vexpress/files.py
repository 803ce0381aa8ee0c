"""Files that are complete under their name, or not there at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"
"""Ends the name of an unfinished file."""
READABLE = 0o644
"""Mode for files that a library made readable by their owner alone."""


@contextlib.contextmanager
def whole_file(path: Path, *, flush: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; at the end it takes the name `path`.

    An error removes it and leaves what `path` was. With `flush` its bytes are on the disk
    before it has its name, so that a power failure leaves no empty file under it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        if flush:
            flush_to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text`, UTF-8, at once."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def flush_to_disk(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
