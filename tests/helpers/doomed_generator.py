"""A generator for tests of the pool; workers import it by its name."""

import os

from vexpress.schemas.generation import Generation
from vexpress.tasks.generate.generator import Generator, describe
from vexpress.tasks.generate.requests import PlannedVideo


class Doomed(Generator):
    """Makes no videos; dies on what is called poison."""

    def load(self) -> str:
        return self.worker

    def make(self, planned: PlannedVideo, attempt: int = 1) -> Generation:
        if planned.asked.name == "poison":
            os._exit(1)
        values = {"started_at": "", "finished_at": "", "attempt": attempt, "worker": self.worker}
        return describe(planned, self.job, status="made", **values)
