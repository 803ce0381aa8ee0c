"""What a run does, as task runs, artifacts and log lines of the Prefect run it is in."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger

from vexpress.tasks.engine.monitor import NEVER, Monitor, Retry

T = TypeVar("T")


class PrefectMonitor(Monitor):
    """Made by a flow run, for the plain function that it wraps."""

    def __init__(self, publish: Callable[[Any], None] = lambda finding: None) -> None:
        """`publish`: makes artifacts of what the function finds while it goes on."""
        self._publish = publish
        self._progress: dict[str, Any] = {}

    def run(
        self,
        kind: str,
        work: Callable[..., T],
        *arguments: object,
        name: str | None = None,
        retry: Retry = NEVER,
    ) -> T:
        """Do a unit of work as a task run."""

        def may_help(task: object, task_run: TaskRun, state: State) -> bool:
            return retry.may_help(error_of(state))

        @task(
            name=kind,
            task_run_name=name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=retry.times,
            retry_delay_seconds=retry.delay_s,
            retry_condition_fn=may_help,
        )
        def unit() -> T:  # without parameters: Prefect would walk through all that they hold
            return work(*arguments)

        done: T = unit()
        return done

    def info(self, text: str) -> None:
        """Write a line to the run's log."""
        get_run_logger().info(text)

    def progressed(self, key: str, share: float, text: str) -> None:
        """Show what share of a work is done."""
        percent = round(100 * share, 1)
        if key not in self._progress:
            self._progress[key] = create_progress_artifact(percent, key=key, description=text)
        else:
            update_progress_artifact(self._progress[key], percent, description=text)

    def publish(self, finding: object) -> None:
        """Leave artifacts."""
        self._publish(finding)


def error_of(state: State) -> BaseException:
    """Return what a task run failed with."""
    try:
        state.result(raise_on_failure=True)
    except BaseException as error:
        return error
    raise AssertionError("asked of failed runs alone")
