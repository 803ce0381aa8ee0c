"""How far a run of `curate` is."""

from collections import Counter
from types import TracebackType
from typing import Self

from vexpress.schemas.clip import Clip
from vexpress.schemas.row import Row
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.progress import Progress


class CurateProgress(Progress):
    """Counts seconds of video twice: when they were decoded and when their clips are done."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor, "curate", "progress", "Share of the work done, percent")
        self.counts: Counter[str] = Counter()
        self._total = self._decoded = self._finished = 0.0

    def expect(self, video_s: float) -> Self:
        """Say how many seconds of video there are."""
        self._total = max(2 * video_s, 1e-9)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._decoded = self._finished = self._total / 2
        super().__exit__(kind, error, trace)

    def advance(self, seconds: float) -> None:
        """Note seconds of video that were decoded."""
        self._decoded += seconds
        self.show()

    def see(self, row: Row) -> None:
        """Note a row of the manifests; clips count."""
        if isinstance(row, Clip):
            self._finished += row.end_s - row.start_s
            self.counts[row.reason or row.status] += 1
            self.show()

    @property
    def kept(self) -> int:
        """Clips kept so far."""
        return self.counts["kept"]

    @property
    def rejected(self) -> int:
        """Candidates rejected so far."""
        return self.counts.total() - self.kept

    def where(self) -> tuple[float, str]:
        """Return the share of the work that is done, and how many clips there are."""
        done = max(self._decoded, self._finished) + self._finished
        share = min(done / self._total, 1.0) if self._total else 0.0
        return share, f"{self.kept} kept, {self.rejected} rejected"
