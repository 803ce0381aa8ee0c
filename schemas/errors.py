"""Errors that a person can act on.

VexpressDataError
├── ConfigError      the configuration cannot work; raised before any work starts
├── SourceError      the source as a whole cannot be listed
├── DatasetError     the data set is not there, is in use, or is of another kind
├── SelectionError        a named selection of clips cannot be made or taken
├── QueryError       the SQL is wrong or asks for what is not allowed
└── FullDisk         nothing more can be written where the data set lives
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
FULL_DATABASE = "database or disk is full"


class VexpressDataError(Exception):
    """Base of the errors that say what was expected, what was found, and what to do."""


class ConfigError(VexpressDataError):
    """The configuration cannot work."""


class SourceError(VexpressDataError):
    """The source cannot be listed."""


class DatasetError(VexpressDataError):
    """The data set cannot be opened."""


class SelectionError(VexpressDataError):
    """The selection cannot be made or taken."""


class QueryError(VexpressDataError):
    """The query cannot be answered."""


class FullDisk(VexpressDataError):  # noqa: N818 - it says what is the matter
    """Nothing more can be written where the data set lives."""


@contextlib.contextmanager
def stop_when_full(root: str) -> Iterator[None]:
    """Turn the errors of a full disk into FullDisk, which names the data set's `root`."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        is_full = getattr(error, "errno", None) in FULL_ERRNOS or FULL_DATABASE in str(error)
        if not is_full:
            raise
        reason = getattr(error, "strerror", None) or error
        raise FullDisk(
            f"{root}: {reason}. Make room, then run again: what is done stays done."
        ) from error
