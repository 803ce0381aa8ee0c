"""Steps that decode once and show every frame to several scorers.

A scorer lives as long as its worker and loads its weights once; for each row it begins a
`Scoring`. The ledger keeps each scorer's answer under a key of its own, so that a new or
changed scorer scores everything again and the others do not.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from vexpress.errors import RunError
from vexpress.schemas.row import Model
from vexpress.tasks.engine.component import Component
from vexpress.tasks.engine.ledger import LedgerLike
from vexpress.tasks.engine.step import Step, is_error
from vexpress.tasks.engine.units import decode, encode

In = TypeVar("In")
Shown = TypeVar("Shown")


class Scoring(Protocol):
    """One scorer's scoring of one row."""

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at frame `number`, BGR uint8 (height, width, 3), which must not be written to."""
        ...

    def answer(self) -> Iterable[Model]:
        """Return what was found, after the last frame; a Rejection may be raised."""
        ...


class Scorer(Component, Generic[In, Shown]):
    """Base of all scorers; subclasses begin scoring in `begin`."""

    def begin(self, row: In, shown: Shown) -> Scoring:
        """Return a scoring of `row`; `shown` is what the decoding step tells its scorers."""
        raise NotImplementedError

    def wanted(self, row: In) -> bool:
        """Return whether there is anything to find; False where weights are missing."""
        return True

    def key(self, row: In) -> str:
        """Return the ledger key: all that the scorer's answer to `row` depends on."""
        raise NotImplementedError


class SharedDecode(Step[In]):
    """Base of steps that show one decode to several scorers."""

    SCORERS: ClassVar[tuple[type[Scorer[Any, Any]], ...]]
    """In the order in which their answers are joined; the field of the step's settings with a
    scorer's `NAME` holds that scorer's settings."""
    DECODING: ClassVar[str] = ""
    """What the ledger calls the time spent decoding, where not by the step's name."""

    @classmethod
    def components(cls, config: Any) -> list[tuple[type[Component], Any]]:
        """Return the step and its scorers, each with its settings."""
        return [(cls, config), *((kind, getattr(config, kind.NAME, None)) for kind in cls.SCORERS)]

    @cached_property
    def scorers(self) -> list[Scorer[In, Any]]:
        """The scorers; their weights load when the first row needs them."""
        return [kind(getattr(self.config, kind.NAME, None), self.context) for kind in self.SCORERS]

    def show(self, row: In, scorings: Sequence["TimedScoring"]) -> None:
        """Decode `row`: begin every scoring, and let it see every frame.

        Raises Rejection when the row cannot be decoded.
        """
        raise NotImplementedError

    def join(self, row: In, answers: dict[str, list[Any]]) -> list[Model]:
        """Return the step's answer from those of the scorers, by their names."""
        raise NotImplementedError

    def run(self, row: In, ledger: LedgerLike) -> list[Model]:
        """Answer from the ledger what it knows, and decode for the rest."""
        scorers = [scorer for scorer in self.scorers if scorer.wanted(row)]
        keys = {scorer.NAME: scorer.key(row) for scorer in scorers}
        known = {name: ledger.get(key, name) for name, key in keys.items()}
        answers = {
            name: [decode(item) for item in data]
            for name, data in known.items()
            if data is not None
        }
        missing = [scorer for scorer in scorers if scorer.NAME not in answers]
        if missing:
            attempt = max(ledger.begin(keys[scorer.NAME]) for scorer in missing)
            for scoring, found in self._score(row, missing, ledger, attempt):
                answers[scoring.name] = self.condense(row, found)
                kept = [encode(item) for item in answers[scoring.name]]
                failed = any(is_error(answer) for answer in found)
                ledger.put(keys[scoring.name], scoring.name, kept, failed, scoring.seconds)
        return self.join(row, {name: answers[name] for name in keys})

    def _score(
        self, row: In, scorers: list[Scorer[In, Any]], ledger: LedgerLike, attempt: int
    ) -> list[tuple["TimedScoring", list[Model]]]:
        """Return each scorer's scoring and its answers, or the one reason why there are none."""
        scorings = [TimedScoring(scorer) for scorer in scorers]
        start = time.perf_counter()
        problem = self.guarded(row, lambda given: self._shown(given, scorings), attempt)
        found = [
            (scoring, problem or self.guarded(row, scoring.answer, name=scoring.name))
            for scoring in scorings
        ]
        decoding = time.perf_counter() - start - sum(scoring.seconds for scoring in scorings)
        ledger.spend(self.DECODING or self.NAME, decoding)
        return found

    def _shown(self, row: In, scorings: list["TimedScoring"]) -> list[Model]:
        self.show(row, scorings)
        return []


class TimedScoring:
    """A scorer's scoring of one row: its time, and what went wrong for it alone."""

    def __init__(self, scorer: Scorer[Any, Any]) -> None:
        self.name = scorer.NAME
        self.seconds = 0.0
        self._scorer = scorer
        self._scoring: Scoring | None = None
        self._error: Exception | None = None

    def begin(self, row: Any, shown: Any) -> None:
        """Begin to look at `row`."""
        with self._timed():
            self._scoring = self._scorer.begin(row, shown)

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at a frame, unless an earlier one went wrong."""
        if self._scoring and not self._error:
            with self._timed():
                self._scoring.see(number, image_bgr)

    def answer(self, row: Any) -> Iterable[Model]:
        """Return what was found; raises what went wrong on the way."""
        found: list[Model] = []
        if self._scoring and not self._error:
            with self._timed():
                found = list(self._scoring.answer())
        if self._error:
            raise self._error
        return found

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except RunError:  # it stops the run
            raise
        except Exception as error:
            self._error = error
        finally:
            self.seconds += time.perf_counter() - start
