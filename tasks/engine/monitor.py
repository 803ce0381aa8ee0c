"""How a run tells what it does.

The functions that do the work know nobody but a `Monitor`. This one calls each unit of work
as it is and writes log lines; a Prefect flow gives one that makes task runs, artifacts and
lines of the run's log of the same (`flows/monitor.py`).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

log = logging.getLogger("vexpress")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How a unit of work that failed is tried again."""

    times: int
    """Most tries after the first."""
    delay_s: float
    """Time between two tries, seconds."""
    may_help: Callable[[BaseException], bool]
    """Whether another try may help after this error."""


NEVER = Retry(times=0, delay_s=0, may_help=lambda error: False)


class Monitor:
    """What a run tells what it does: this one logs."""

    def run(
        self,
        kind: str,
        work: Callable[..., T],
        *arguments: object,
        name: str | None = None,
        retry: Retry = NEVER,
    ) -> T:
        """Do a unit of work: return what `work(*arguments)` returns, raise what it raises.

        Args:
            kind: What sort of unit it is, such as `curate-batch`.
            work: What does it.
            arguments: What `work` is given.
            name: Which one of its kind it is, such as `batch 1 of 3`.
            retry: How it is tried again when it fails.
        """
        for left in reversed(range(retry.times + 1)):
            try:
                return work(*arguments)
            except Exception as error:
                if not left or not retry.may_help(error):
                    raise
                log.warning("%s failed and is tried again: %s", name or kind, error)
                time.sleep(retry.delay_s)
        raise AssertionError("the last try returns or raises")

    def info(self, text: str) -> None:
        """Take a line that says what was done."""
        log.info(text)

    def progressed(self, key: str, share: float, text: str) -> None:
        """Take what share of a work is done, 0 to 1, and what to say of it; every few seconds."""

    def publish(self, finding: object) -> None:
        """Take numbers that a person may want to see before the run ends, such as a gate's."""
