"""How far a run of `generate` is."""

from collections import Counter

from vexpress.schemas.generation import Generation
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.progress import Progress


class GenerateProgress(Progress):
    """Counts what requests cost, not requests: a long video moves the bar further."""

    def __init__(self, monitor: Monitor, costs: dict[str, float]) -> None:
        what = f"Share of the work of {len(costs)} requests that is done, percent"
        super().__init__(monitor, "generate", "generate-progress", what)
        self._costs = costs
        self._total = sum(costs.values())
        self._done = 0.0
        self.counts: Counter[str] = Counter()

    def see(self, row: Generation) -> None:
        """Note the row of a request."""
        self._done += self._costs[row.request_id]
        self.counts[row.status] += 1
        self.show()

    def where(self) -> tuple[float, str]:
        """Return the share of the work that is done, and how many videos there are."""
        share = min(self._done / self._total, 1.0) if self._total else 1.0
        note = f"{self.counts['made']} made"
        if others := self.counts.total() - self.counts["made"]:
            note += f", {others} not"
        return share, note
