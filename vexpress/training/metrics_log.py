"""The numbers of a stage as they come: one JSON line a step, in `metrics.jsonl`."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vexpress.files import write_text

END_BYTES = 16_384


class MetricsLog:
    """Lines after `last_step` are of a run that was stopped: they are dropped on opening."""

    def __init__(self, path: Path, last_step: int) -> None:
        kept = [line for line in read_metrics(path) if line["step"] <= last_step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", buffering=1)

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Add a line; `kind` is `train` or `validation`."""
        line = {"step": step, "kind": kind, "at": round(time.time(), 3), **values}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics log; a last line that was cut short by a kill is left out."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def latest(metrics: list[dict[str, Any]], kind: str, name: str) -> float | None:
    """The newest value of a name, or None."""
    return next((ln[name] for ln in reversed(metrics) if ln["kind"] == kind and name in ln), None)


def at_step(metrics: list[dict[str, Any]], kind: str, name: str, step: int) -> float | None:
    """The value of a name at a step, or None."""
    found = (ln[name] for ln in metrics if ln["kind"] == kind and ln["step"] == step and name in ln)
    return next(found, None)


def last_line(path: Path, kind: str) -> dict[str, Any] | None:
    """The newest line of a kind, if it is near the end; reads no more than the end."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        ends = file.read().split(b"\n")[1:-1] if file.tell() > END_BYTES else None
    lines = read_metrics(path) if ends is None else [json.loads(end) for end in ends]
    return next((line for line in reversed(lines) if line["kind"] == kind), None)
