"""What a step is.

A step takes rows of one type (`TAKES`) and answers each with rows; other rows, and rows
already rejected, pass by. Configuration goes into `__init__`, weights load when the first
row needs them. Answers are kept in the ledger under a key made of everything they depend
on: the row's identity, the step, its version, its configuration and its weights.

Errors a step raises:

Rejection            the row is rejected with this reason; the run goes on
├── (is_error=False) a rule said no
└── (is_error=True)  something failed; `vexpress retry` runs it again
RunError             the configuration or the weights cannot work, or the disk is full:
                     the run stops
anything else        on one row: rejected as `failed`, is_error; the run goes on
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from vexpress.errors import RunError, raise_if_interrupted
from vexpress.schemas.errors import stop_when_full
from vexpress.schemas.row import Model, content_id
from vexpress.schemas.video import Video
from vexpress.tasks.engine.component import Component
from vexpress.tasks.engine.component import Context as Context
from vexpress.tasks.engine.ledger import LedgerLike
from vexpress.tasks.engine.units import Candidate, Update, decode, encode

log = logging.getLogger(__name__)
In = TypeVar("In")


class Rejection(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """Reject the row: a reason in one word and a sentence for a person."""

    def __init__(self, reason: str, detail: str, *, is_error: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.is_error = is_error


@dataclass(frozen=True)
class Resources:
    """What one worker of a step needs."""

    cpus: float = 1
    gpus: float = 0


MAX_ATTEMPTS = 3


class Step(Component, Generic[In]):
    """Base of all steps; subclasses answer one row in `__call__`."""

    TAKES: ClassVar[type]
    RESOURCES: ClassVar[Resources] = Resources()
    IN_LEDGER: ClassVar[bool] = True
    """False for a step that costs less than looking its answer up."""

    @classmethod
    def components(cls, config: Any) -> list[tuple[type[Component], Any]]:
        """Return the step, and the scorers that it asks, each with its settings."""
        return [(cls, config)]

    def __call__(self, row: In) -> Iterator[Model]:
        """Answer one row."""
        raise NotImplementedError

    def skip(self, row: In) -> list[Model] | None:
        """Return the answer where there is nothing to do and the ledger is not asked, or None."""
        return None

    def conclude(self, answer: Model) -> Model:
        """Return `answer` with what is decided anew in every run and never kept."""
        return answer

    def identity(self, row: In) -> str:
        """Return what of `row` the answer depends on."""
        raise NotImplementedError

    def is_complete(self, answers: list[Model]) -> bool:
        """Return whether the files that `answers` name are still there."""
        return True

    def key(self, row: In) -> str:
        """Return the ledger key of `row`: a hash of all that its answer depends on."""
        return self.make_key(self.identity(row))

    def run(self, row: In, ledger: LedgerLike) -> list[Model]:
        """Answer `row` from the ledger or by work; never raises for a bad row."""
        skipped = self.skip(row)
        if skipped is not None:
            return skipped
        if not self.IN_LEDGER:
            return self.guarded(row, self)
        return [self.conclude(answer) for answer in self._look_up(row, ledger)]

    def _look_up(self, row: In, ledger: LedgerLike) -> list[Model]:
        key = self.key(row)
        known = ledger.get(key, self.NAME)
        if known is not None:
            answers = self.restore(row, [decode(data) for data in known])
            if self.is_complete(answers):
                return answers
        start = time.perf_counter()
        answers = self.guarded(row, self, attempt=ledger.begin(key))
        kept = [encode(answer) for answer in self.condense(row, answers)]
        failed = any(is_error(answer) for answer in answers)
        ledger.put(key, self.NAME, kept, failed, time.perf_counter() - start)
        return answers

    def condense(self, row: In, answers: list[Model]) -> list[Model]:
        """Return what the ledger keeps of `answers`."""
        return answers

    def restore(self, row: In, kept: list[Any]) -> list[Model]:
        """Return the answers that `condense` kept."""
        return kept

    def guarded(
        self,
        row: In,
        work: Callable[[In], Iterable[Model]],
        attempt: int = 1,
        name: str | None = None,
    ) -> list[Model]:
        """Return the answers of `work(row)`; what goes wrong with the row becomes a rejection.

        `name` is told where it is not this step's. Raises FullDisk when nothing more can be
        written.
        """
        name = name or self.NAME
        if attempt > MAX_ATTEMPTS:
            detail = f"step {name}: its worker died {MAX_ATTEMPTS} times on this input"
            return [reject(row, Rejection("crashed", detail, is_error=True))]
        try:
            with stop_when_full(self.context.dataset.root):
                return list(work(row))
        except Rejection as rejection:
            return [reject(row, rejection)]
        except RunError:
            raise
        except Exception as error:
            return [reject(row, failure(name, error))]


def failure(name: str, error: Exception) -> Rejection:
    """Return what an unforeseen error in the step `name` means for the row.

    Raises KeyboardInterrupt where it is no error of the row: somebody stopped the run.
    """
    raise_if_interrupted(error)
    log.warning("step %s failed", name, exc_info=error)
    detail = f"step {name}: {type(error).__name__}: {error}"[:500]
    return Rejection("failed", detail, is_error=True)


class ClipStep(Step[Candidate]):
    """A step that finds out more about a clip; the ledger keeps only what changed."""

    TAKES = Candidate

    def identity(self, row: Candidate) -> str:
        """The clip id stands for content, span, crop and recipe; its sound may be moved."""
        moved = row.clip.sync_repaired_frames
        return f"{row.clip.clip_id} {moved:g}" if moved else row.clip.clip_id

    def condense(self, row: Candidate, answers: list[Model]) -> list[Model]:
        """Keep the columns that differ and new series; other rows whole."""
        return [_changes(row, a) if isinstance(a, Candidate) else a for a in answers]

    def restore(self, row: Candidate, kept: list[Any]) -> list[Model]:
        """Apply what was kept to the candidate at hand."""
        return [row.apply(k) if isinstance(k, Update) else k for k in kept]

    def is_complete(self, answers: list[Model]) -> bool:
        """Return whether every file named by the clip is there."""
        clips = [a.clip for a in answers if isinstance(a, Candidate)]
        names = [n for c in clips for n in (c.media_path, c.audio_path, c.features_path) if n]
        return all(self.context.dataset.exists(name) for name in names)


def _changes(before: Candidate, after: Candidate) -> Update:
    old, new = before.clip.model_dump(), after.clip.model_dump()
    changes = {name: new[name] for name in new if new[name] != old[name]}
    series = {name: s for name, s in after.series.items() if s is not before.series.get(name)}
    return Update(changes=changes, series=series)


def reject(row: Any, rejection: Rejection) -> Any:
    """Return `row` as rejected: a video or a candidate keeps all that is known of it."""
    changes = {
        "status": "rejected",
        "reason": rejection.reason,
        "detail": rejection.detail,
        "is_error": rejection.is_error,
    }
    if isinstance(row, Candidate):
        return row.update(**changes)
    if isinstance(row, Video):
        return row.model_copy(update=changes)
    video = getattr(row, "video", None)
    if isinstance(video, Video):
        return video.model_copy(update=changes)
    unknown = Video(video_id=content_id("no content", row.uri), source=row.uri, status="rejected")
    return unknown.model_copy(update=changes)


def is_rejected(row: Any) -> bool:
    """Return whether `row` was rejected by an earlier step."""
    status = row.clip.status if isinstance(row, Candidate) else getattr(row, "status", "")
    return bool(status == "rejected")


def is_error(row: Any) -> bool:
    """Return whether `row` was rejected because something failed."""
    return bool(getattr(row.clip if isinstance(row, Candidate) else row, "is_error", False))


def passes_by(step: Step[Any], row: Any) -> bool:
    """Return whether `row` is none of `step`'s business."""
    return not isinstance(row, step.TAKES) or is_rejected(row)
