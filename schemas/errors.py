"""Errors about a data set and its settings; the whole tree is in `vexpress.errors`.

RunError
├── ConfigError      the configuration cannot work; raised before any work starts
├── SourceError      the source as a whole cannot be listed
├── DatasetError     the data set is not there, is in use, or is of another kind
├── SelectionError   a named selection of clips cannot be made or taken
├── QueryError       the SQL is wrong or asks for what is not allowed
└── FullDisk         nothing more can be written where the data set lives
"""

import contextlib
import errno
import sqlite3
import warnings
from collections.abc import Iterator

from vexpress.errors import RunError

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
FULL_DATABASE = "database or disk is full"
DAMAGED_DATABASE = ("file is not a database", "disk image is malformed", "file is encrypted")


class ConfigError(RunError):
    """The configuration cannot work."""


class SourceError(RunError):
    """The source cannot be listed."""


class DatasetError(RunError):
    """The data set cannot be opened."""


class SelectionError(RunError):
    """The selection cannot be made or taken."""


class QueryError(RunError):
    """The query cannot be answered."""


class FullDisk(RunError):  # noqa: N818 - it says what is the matter
    """Nothing more can be written where the data set lives."""


@contextlib.contextmanager
def stop_when_full(root: str) -> Iterator[None]:
    """Turn the errors of a full disk into FullDisk, and those of a damaged ledger into
    DatasetError, which name the data set's `root`."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError) as error:
        if any(words in str(error) for words in DAMAGED_DATABASE):
            raise DatasetError(
                f"{root}: ledger.sqlite is damaged ({error}). Put back a copy of it, or move it "
                "away: nothing that was made is lost, but everything is computed again."
            ) from error
        is_full = getattr(error, "errno", None) in FULL_ERRNOS or FULL_DATABASE in str(error)
        if not is_full:
            raise
        reason = getattr(error, "strerror", None) or error
        raise FullDisk(
            f"{root}: {reason}. Make room, then run again: what is done stays done."
        ) from error


def __getattr__(name: str) -> type[RunError]:
    if name != "VexpressDataError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    text = "VexpressDataError is called vexpress.errors.RunError now"
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return RunError
