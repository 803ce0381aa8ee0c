"""How far an evaluation is."""

from vexpress.schemas.evaluation import Evaluation
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.progress import Progress


class EvaluateProgress(Progress):
    """Counts videos."""

    def __init__(self, monitor: Monitor, videos: int) -> None:
        what = f"Share of {videos} videos that is measured, percent"
        super().__init__(monitor, "evaluate", "evaluate-progress", what)
        self._videos = videos
        self._measured: set[str | None] = set()

    def see(self, row: Evaluation) -> None:
        """Note a number of a video."""
        self._measured.add(row.request_id)
        self.show()

    def where(self) -> tuple[float, str]:
        """Return the share of the videos that is measured, and how many those are."""
        return len(self._measured) / self._videos, f"{len(self._measured)} measured"
