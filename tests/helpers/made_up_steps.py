"""Steps that misbehave on purpose, or tell what they were given."""

import os
from collections.abc import Iterator
from typing import ClassVar

from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection, Resources, Step
from vexpress.tasks.engine.units import Source


class Behaviour(Model):
    """What the step does."""

    word: str = "fine"
    """What good rows say."""


class Behave(Step[Source]):
    """Do what the name of the source says."""

    NAME: ClassVar[str] = "behave"
    TAKES: ClassVar[type] = Source
    RESOURCES: ClassVar[Resources] = Resources(cpus=0.5, gpus=0.25)
    opened: ClassVar[list[str]] = []

    def __init__(self, config: Behaviour, context: object) -> None:
        super().__init__(config, context)  # type: ignore[arg-type]
        self.opened.append(config.word)

    def identity(self, row: Source) -> str:
        """The name alone."""
        return row.uri

    def __call__(self, row: Source) -> Iterator[Video]:
        """Answer, reject, fail or die."""
        if row.uri.startswith("die"):
            os._exit(1)
        if row.uri.startswith("divide"):
            raise ZeroDivisionError("by nothing")
        if row.uri.startswith("reject"):
            raise Rejection("ugly", "expected beauty, found none")
        if row.uri.startswith("full"):
            raise OSError(28, "No space left on device")
        yield Video(video_id=row.uri, source=row.uri, status="ok", detail=self.config.word)
