"""What `vexpress doctor` says in one line, and what it is asked about."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "missing", "not needed"]
INSTALL = "make setup"


@dataclass(frozen=True)
class Setup:
    """The configuration that is asked about."""

    weights: Path | None = None
    engine: str = "local"
    gpu: bool = False
    dataset: str | None = None

    @property
    def on_cluster(self) -> bool:
        """Whether the work runs on other machines."""
        return self.engine == "ray" and bool(os.environ.get("RAY_ADDRESS"))


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, what to do."""

    name: str
    state: State
    found: str
    todo: str = ""


def line(name: str, found: str, *, good: bool, needed: bool = True, todo: str = "") -> Check:
    """Return a line; `todo` is said only where something is not there."""
    state: State = "ok" if good else "missing" if needed else "not needed"
    return Check(name, state, found, "" if good else todo)


def guarded(name: str, look: Callable[..., list[Check]], *about: Any) -> list[Check]:
    """Return the lines of `look(*about)`; where it fails, one line that says so."""
    try:
        return look(*about)
    except Exception as error:  # a broken install fails in ways of its own
        found = masked(f"the check failed: {type(error).__name__}: {error}"[:200])
        return [Check(name, "missing", found, f"install the project again: {INSTALL}")]


def masked(text: str) -> str:
    """Return an address, or a text with addresses in it, without credentials and queries."""
    without_query = re.sub(r"(?<=\S)\?\S*", "", text)
    return re.sub(r"[^/@\s]+(:[^/@\s]*)?@", "***@", without_query)
