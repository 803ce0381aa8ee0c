"""How far a stage is, read from its metrics log while it is trained.

The log grows wherever the stage runs; one thread here looks at its end.
"""

import contextvars
import threading
from types import TracebackType
from typing import Self

from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.progress import Progress
from vexpress.training.metrics_log import last_line
from vexpress.training.stage_job import StageJob

LOOK_EVERY_S = 1.0


class StageProgress(Progress):
    """Steps and loss of a stage."""

    def __init__(self, monitor: Monitor, job: StageJob) -> None:
        title, key = f"stage {job.number}", f"stage-{job.number}-progress"
        super().__init__(monitor, title, key, f"Steps of {title}, percent")
        self.job = job
        self._steps = job.settings.stage(job.number).steps
        self._over = threading.Event()
        # A monitor may know its run by the context of the thread that made it.
        look = contextvars.copy_context().run
        self._thread = threading.Thread(target=look, args=(self._look,), daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        super().__exit__(kind, error, trace)

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.show()

    def where(self) -> tuple[float, str]:
        """Return the share of the steps that is done, which step it is, and its loss."""
        line = last_line(self.job.folder / "metrics.jsonl", "train")
        step, loss = (line["step"], line["loss"]) if line else (0, float("nan"))
        return step / self._steps, f"step {step} of {self._steps}, loss {loss:.4f}"
