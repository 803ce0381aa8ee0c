"""One sentence for errors of the system and of libraries that a person can act on."""

import errno
import getpass
import resource
import sqlite3

from vexpress.errors import VExpressError

NO_MEMORY = ("can't start new thread", "cannot allocate memory", "failed to map segment")
NO_MEMORY_CLASSES = {"OutOfMemoryException", "OutOfMemoryError"}
"""Of DuckDB and torch, which are not imported for this."""
OF_PLACES = {
    errno.ENOSPC: "Make room there and run again: what is done is kept.",
    errno.EDQUOT: "Make room there and run again: what is done is kept.",
    errno.EROFS: "Name a place that can be written to.",
    errno.ENOTDIR: "Name a folder, or a path on which every part is one.",
    errno.EISDIR: "Name a file.",
    errno.EEXIST: "Name another place, or move away what is there.",
    errno.ENAMETOOLONG: "Name a shorter path.",
}
"""What to do about errors of the system that say which file they are about."""
NOT_WRITABLE = ("unable to open database file", "readonly database")


def sentence(error: Exception) -> str | None:
    """Return what to say of an error, or None where it is one that nobody foresaw."""
    if isinstance(error, VExpressError):
        return str(error)
    if _is_out_of_memory(error):
        return f"not enough memory{_allowed()}: {_first_line(error)}. Allow more, or ask for less."
    if isinstance(error, PermissionError):
        found = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return f"{found} for user {_user()}. Give this user the right to it, or name another place."
    if type(error).__name__ == "IOException" and "Permission denied" in str(error):  # DuckDB's
        return f"{_first_line(error)} for user {_user()}. Give this user the right to it."
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open at once: {error.strerror}. Allow more: ulimit -n 4096"
    if isinstance(error, OSError) and error.errno in OF_PLACES:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}. {OF_PLACES[error.errno]}"
    if isinstance(error, sqlite3.OperationalError) and any(w in str(error) for w in NOT_WRITABLE):
        return f"ledger.sqlite: expected to be allowed to write it as user {_user()}: {error}"
    return None


def _is_out_of_memory(error: Exception) -> bool:
    is_named = type(error).__name__ in NO_MEMORY_CLASSES
    told = isinstance(error, OSError | ImportError | RuntimeError)
    said = told and any(words in str(error).lower() for words in NO_MEMORY)
    return isinstance(error, MemoryError) or is_named or said


def _allowed() -> str:
    """How much a process may have, where `ulimit -v` says so."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f" (`ulimit -v` allows {limit >> 20:,} MB)"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return "of this process"
