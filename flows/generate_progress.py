"""How far a run of `generate` is, and when it will end: a bar, an artifact, log lines."""

import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from flows.progress import ARTIFACT_EVERY_S, LOG_EVERY_S, terminal_bar, time_left
from schemas.generation import Generation


class GenerateProgress:
    """Counts what requests cost, not requests: a long video moves the bar further."""

    def __init__(self, costs: dict[str, float]) -> None:
        self._costs = costs
        self._total = sum(costs.values())
        self._done = 0.0
        self.counts: Counter[str] = Counter()
        self._begun = self._logged = self._updated = time.monotonic()
        self._bar = terminal_bar()
        self._task = self._bar.add_task("generate", total=1.0, note="") if self._bar else None
        self._artifact: Any = None

    def __enter__(self) -> Self:
        text = f"Share of the work of {len(self._costs)} requests that is done, percent"
        self._artifact = create_progress_artifact(0.0, key="generate-progress", description=text)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show(last=True)
        if self._bar:
            self._bar.stop()

    def see(self, row: Generation) -> None:
        """Note the row of a request."""
        self._done += self._costs[row.request_id]
        self.counts[row.status] += 1
        self._show()

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        share = min(self._done / self._total, 1.0) if self._total else 1.0
        note = f"{self.counts['made']} made"
        if others := self.counts.total() - self.counts["made"]:
            note += f", {others} not"
        left = time_left(now - self._begun, share)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=share, note=note)
        if last or now - self._updated > ARTIFACT_EVERY_S:
            self._updated = now
            words = f"{note} of {len(self._costs)}" + ("" if last else f", {left}")
            update_progress_artifact(self._artifact, round(100 * share, 1), description=words)
        if not self._bar and now - self._logged > LOG_EVERY_S:
            self._logged = now
            get_run_logger().info("%.0f %% done, %s, %s", 100 * share, note, left)
