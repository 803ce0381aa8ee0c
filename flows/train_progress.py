"""How far a stage is, and when it will end, read from its journal while it is trained.

The journal grows wherever the stage runs; one thread here looks at its end.
"""

import threading
import time
from types import TracebackType
from typing import Any, Self

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from flows.progress import ARTIFACT_EVERY_S, LOG_EVERY_S, terminal_bar, time_left
from vexpress.training.job import StageJob
from vexpress.training.journal import last_line

LOOK_EVERY_S = 1.0


class StageProgress:
    """A bar in a terminal, a Prefect artifact, log lines: steps, loss, time left."""

    def __init__(self, job: StageJob) -> None:
        self.job = job
        self._steps = job.settings.stage(job.number).steps
        self._log = get_run_logger()
        self._bar = terminal_bar()
        title = f"stage {job.number}"
        self._task = self._bar.add_task(title, total=self._steps, note="") if self._bar else None
        self._begun = self._logged = self._updated = time.monotonic()
        self._first, _ = self._read()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._artifact: Any = None

    def __enter__(self) -> Self:
        text = f"Steps of stage {self.job.number}, percent"
        key = f"stage-{self.job.number}-progress"
        self._artifact = create_progress_artifact(0.0, key=key, description=text)
        if self._bar:
            self._bar.start()
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
        self._show(last=True)
        if self._bar:
            self._bar.stop()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self._show()

    def _read(self) -> tuple[int, float]:
        """Last step and its loss."""
        line = last_line(self.job.folder / "metrics.jsonl", "train")
        return (line["step"], line["loss"]) if line else (0, float("nan"))

    def _show(self, *, last: bool = False) -> None:
        step, loss = self._read()
        now, note = time.monotonic(), f"loss {loss:.4f}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, note=note)
        if last or now - self._updated > ARTIFACT_EVERY_S:
            self._updated = now
            update_progress_artifact(self._artifact, round(100 * step / self._steps, 1))
        if not self._bar and (last or now - self._logged > LOG_EVERY_S):
            self._logged = now
            share = (step - self._first) / max(1, self._steps - self._first)
            left = "done" if step == self._steps else time_left(now - self._begun, share)
            text = "stage %d: step %d of %d, %s, %s"
            self._log.info(text, self.job.number, step, self._steps, note, left)
