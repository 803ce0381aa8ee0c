"""How far a run is, and when it will end: a bar in a terminal, else log lines."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vexpress.tasks.engine.monitor import Monitor

TELL_EVERY_S = 5.0
LOG_EVERY_S = 30.0


class Progress:
    """What all kinds of run show alike; a kind says in `where` how far it is.

    `with` it, and `show` whenever something is done.
    """

    def __init__(self, monitor: Monitor, title: str, key: str, description: str) -> None:
        self._monitor, self._title, self._key = monitor, title, key
        self._description = description
        self._bar = terminal_bar()
        self._task = self._bar.add_task(title, total=1.0, note="") if self._bar else None

    def where(self) -> tuple[float, str]:
        """Return the share of the work that is done, and a note of what came of it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._begun = self._logged = self._told = time.monotonic()
        self._share_before, _ = self.where()
        self._monitor.progressed(self._key, 0.0, self._description)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.show(last=True)
        if self._bar:
            self._bar.stop()

    def show(self, *, last: bool = False) -> None:
        """Tell where the run is, to each who was not told lately."""
        now, (share, note) = time.monotonic(), self.where()
        left = time_left(now - self._begun, share - self._share_before, 1 - share)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=share, note=note)
        if last or now - self._told > TELL_EVERY_S:
            self._told = now
            self._monitor.progressed(self._key, share, f"{self._description}: {note}, {left}")
        if not self._bar and (last or now - self._logged > LOG_EVERY_S):
            self._logged = now
            self._monitor.info(f"{self._title}: {100 * share:.0f} % done, {note}, {left}")


def time_left(elapsed_s: float, done: float, rest: float) -> str:
    """Return how long the rest will take, in words; `done` and `rest` are shares of the work."""
    if rest <= 0:
        return "nothing left"
    if done < 0.01:
        return "time left not known yet"
    left = elapsed_s * rest / done
    return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"


def terminal_bar() -> Bar | None:
    """Return a bar for stderr, or None where it is no terminal."""
    if not sys.stderr.isatty():
        return None
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
