"""How a command runs: here, or as a Prefect flow; and how Ctrl-C and SIGTERM end it."""

import atexit
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import psutil
import typer

from vexpress.flows.server.password import tell_client

FlowOption = Annotated[
    bool,
    typer.Option(
        "--flow",
        help="Run as a Prefect flow also where PREFECT_API_URL is not set, on a server that "
        "Prefect starts for it.",
    ),
]
STOPPED = "stopped; run the same command again to go on"
GRACE_S = 3.5
"""How long a run that was told to stop may take to put down what it has in hand."""
PATIENCE_S = 5.0
"""How long a server may take to answer."""


def run_as_flow(flow: bool = False) -> bool:
    """Return whether to run as a flow: where asked for, or where PREFECT_API_URL is set.

    Raises ConfigError, before anything starts, where the server that is set does not answer.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    if not url and not flow:
        return False
    if url:
        require_answer(url)
        tell_client()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # errors are said by the command
    stopping.give_back()  # to Prefect, which tells its server of them
    return True


def end_silently() -> None:
    """Close standard error after all exit handlers; to be called before any other is registered.

    What is left then is the interpreter's own end, where DuckDB's bindings print pages about
    objects that threads of Prefect or Ray still hold.
    """
    atexit.register(_say_no_more)


def _say_no_more() -> None:
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def require_answer(url: str) -> None:
    """Raise ConfigError where no Prefect server answers at `url`."""
    from vexpress.schemas.errors import ConfigError

    answers, found = ask_server(url)
    if not answers:
        raise ConfigError(
            f"PREFECT_API_URL={url}: no Prefect server answers there ({found}); start it, or unset "
            "PREFECT_API_URL to run without one."
        )


def ask_server(url: str) -> tuple[bool, str]:
    """Return whether a Prefect server answers at `url`, and what it answers or why not."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=PATIENCE_S) as answer:
            return True, f"answers {answer.status}"
    except urllib.error.HTTPError as error:
        # Such as 401: it is there, and what more it wants is Prefect's to answer.
        return error.code < 500, f"answers {error.code}"
    except urllib.error.URLError as error:
        return False, str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, str(error)


class Stopping:
    """Answers SIGINT and SIGTERM while a command runs here.

    The first is a KeyboardInterrupt, on which the run puts down what it has in hand. Then, or
    on the second, or `GRACE_S` after the first, the process ends with all its children: without
    the interpreter's own last steps, which may take seconds. What was written is whole at any
    moment, and the next run goes on from it. A thread watches, for the main one may be in a
    library's call that no signal interrupts.
    """

    def __init__(self) -> None:
        self._first = 0
        self._before: dict[int, Any] = {}

    def watch(self) -> None:
        """Answer the signals from now on."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._interrupt)
        os.register_at_fork(after_in_child=self._in_child)
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return bool(self._first)

    def give_back(self) -> None:
        """Leave the signals to those who answered them before."""
        if self._before:
            signal.set_wakeup_fd(-1)
        while self._before:
            signal.signal(*self._before.popitem())

    def leave(self) -> NoReturn:
        """End a run that was interrupted, with exit code 130, or 143 after SIGTERM."""
        if self._before:
            self._end(self._first)
        say_stopped()
        sys.exit(130)

    @contextmanager
    def end_after(self, seconds: float, why: str) -> Iterator[None]:
        """End the process with `why` and exit code 2 where what is inside does not end by then.

        For what no interrupt reaches: DuckDB while it reads a question with very many columns.
        """
        timer = threading.Timer(seconds, self._give_up, [why])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, why: str) -> NoReturn:
        typer.secho(f"vexpress: {why}", fg="red", err=True)
        end_children()
        os._exit(2)

    def _in_child(self) -> None:
        """A forked worker leaves Ctrl-C to this process, and ends on SIGTERM."""
        if self._before:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _interrupt(self, number: int, frame: object) -> None:
        if not self._first:
            self._first = number
            # Where it cannot go on, as in an import's callback, Python would print it.
            sys.unraisablehook = lambda _: None
            warnings.simplefilter("ignore")
            raise KeyboardInterrupt

    def _wait(self) -> None:
        """Wait for the first signal, then for the second or for the end of patience."""
        first = self._read()
        threading.Thread(target=self._end_late, args=(first,), daemon=True).start()
        self._read()
        self._end(first)

    def _read(self) -> int:
        while True:
            number = os.read(self._reader, 1)[0]
            if number in (signal.SIGINT, signal.SIGTERM):
                return number

    def _end_late(self, first: int) -> None:
        time.sleep(GRACE_S)
        self._end(first)

    def _end(self, first: int) -> NoReturn:
        say_stopped()
        end_children()
        os._exit(128 + first)


stopping = Stopping()
_said = threading.Lock()


def say_stopped() -> None:
    """Print that the run was stopped, once."""
    if _said.acquire(blocking=False):
        typer.secho(STOPPED, fg="yellow", err=True)
        sys.stderr.flush()


def end_children() -> None:
    """Kill all processes that this one started, and those that these started."""
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.Error:
            continue
