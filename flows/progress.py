"""How far a run is, and when it will end: a bar in a terminal, a Prefect artifact, log lines."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from schemas.clip import Clip
from schemas.row import Row

ARTIFACT_EVERY_S = 5.0
LOG_EVERY_S = 30.0


class CurateProgress:
    """Counts seconds of video twice: when they were watched and when their clips are done."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._total = self._watched = self._finished = 0.0
        self._begun = self._logged = self._updated = time.monotonic()
        self._bar = terminal_bar()
        self._task = self._bar.add_task("curate", total=1.0, note="") if self._bar else None
        self._artifact: Any = None

    def expect(self, video_s: float) -> Self:
        """Say how many seconds of video there are."""
        self._total = max(2 * video_s, 1e-9)
        return self

    def __enter__(self) -> Self:
        text = "Share of the work done, percent"
        self._artifact = create_progress_artifact(0.0, key="progress", description=text)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._watched = self._finished = self._total / 2
        self._show(last=True)
        if self._bar:
            self._bar.stop()

    def watched(self, seconds: float) -> None:
        """Note seconds of video that were watched."""
        self._watched += seconds
        self._show()

    def see(self, row: Row) -> None:
        """Note a row of the manifests; clips count."""
        if isinstance(row, Clip):
            self._finished += row.end_s - row.start_s
            self.counts[row.reason or row.status] += 1
            self._show()

    @property
    def kept(self) -> int:
        """Clips kept so far."""
        return self.counts["kept"]

    @property
    def rejected(self) -> int:
        """Candidates rejected so far."""
        return self.counts.total() - self.kept

    def _share(self) -> float:
        done = max(self._watched, self._finished) + self._finished
        return min(done / self._total, 1.0) if self._total else 0.0

    def _show(self, *, last: bool = False) -> None:
        now, share = time.monotonic(), self._share()
        note = f"{self.kept} kept, {self.rejected} rejected"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=share, note=note)
        if last or now - self._updated > ARTIFACT_EVERY_S:
            self._updated = now
            update_progress_artifact(self._artifact, round(100 * share, 1))
        if not self._bar and now - self._logged > LOG_EVERY_S:
            self._logged = now
            left = time_left(now - self._begun, share)
            get_run_logger().info("%.0f %% done, %s, %s", 100 * share, note, left)


def time_left(elapsed_s: float, share: float) -> str:
    """Return how long the rest will take, in words."""
    if share < 0.01:
        return "time left not known yet"
    left = elapsed_s * (1 - share) / share
    return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"


def terminal_bar() -> Progress | None:
    """Return a bar for stderr, or None where it is no terminal."""
    if not sys.stderr.isatty():
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
