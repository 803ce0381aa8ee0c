"""What a run did and with what. Table `runs`, one row per run."""

import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from vexpress.schemas.row import Row
from vexpress.schemas.versions import versions_of


class Run(Row):
    """Written when a run ends that did something, by `curate` also when it begins; with it,
    everything in the data set can be explained."""

    TABLE: ClassVar[str] = "runs"

    run_id: str
    """Start time and a random part."""
    kind: str
    """What kind of run it was: `curate`, `train`, `generate` or `evaluate`."""
    source: str
    """What was curated; the folder of the training run; the table of requests; the weights whose
    videos were evaluated (empty: all)."""
    started_at: str
    """ISO 8601 UTC."""
    finished_at: str
    """ISO 8601 UTC; empty while it runs, and for ever where it was killed: counts are 0 then."""
    engine: str
    """`local` or `ray`."""
    config: str
    """The whole configuration, JSON; of `train` with the `snapshot` whose clips were trained on."""
    versions: str
    """Versions of this project and of the libraries that matter, JSON."""
    weights: str
    """Weights used: name, files, sha256 and licence, JSON list; also those that were made."""
    notes: list[str]
    """What the user was told: skipped steps, chosen back ends."""
    counts: str
    """How many of what, JSON object. `curate`: the six columns after this one. `train`: `clips` to
    train on and to hold out, `steps` made, `steps_done_before`. `generate`: `videos_made`,
    `requests_done_before`, `requests_rejected`, `requests_failed`. `evaluate`: `videos_measured`,
    `videos_done_before`, `videos_failed`, `numbers_of_sets`."""
    videos: int | None = None
    """`curate`: sources planned in this run (those already done are not planned again)."""
    videos_done_before: int | None = None
    """`curate`: sources found unchanged and already done."""
    clips_kept: int | None = None
    """`curate`: clips kept, of the sources of this run."""
    clips_rejected: int | None = None
    """`curate`: candidates rejected, of the sources of this run."""
    units_run: int | None = None
    """`curate`: units of work done now."""
    units_reused: int | None = None
    """`curate`: units of work found in the ledger."""
    step_seconds: str
    """Seconds of work per step (`train`: per stage), all workers added up, JSON object."""
    snapshot: str
    """File that lists the manifest files of this state of the data set and their row counts;
    empty where the run is not finished."""

    @classmethod
    def begun(
        cls,
        run_id: str,
        kind: str,
        source: str,
        started: datetime,
        *,
        engine: str,
        config: str,
        libraries: Iterable[str],
        weights: Iterable[Mapping[str, Any]],
        notes: list[str],
        counts: Mapping[str, int] | None = None,
    ) -> Self:
        """Return the row of a run that begins. `config` is JSON; `libraries` are packages whose
        versions matter; each of the `weights` has name, files, sha256 and licence."""
        return cls(
            run_id=run_id,
            kind=kind,
            source=source,
            started_at=started.isoformat(),
            finished_at="",
            engine=engine,
            config=config,
            versions=versions_of(libraries),
            weights=json.dumps(list(weights)),
            notes=notes,
            step_seconds="{}",
            snapshot="",
            **_counted(kind, counts or {}),
        )

    def finished(self, counts: Mapping[str, int], step_seconds: Mapping[str, float]) -> Self:
        """Return the row of the run, which ends now."""
        seconds = {step: round(value, 3) for step, value in step_seconds.items()}
        changes = {
            "finished_at": datetime.now(UTC).isoformat(),
            "step_seconds": json.dumps(seconds),
            "snapshot": f"snapshots/{self.run_id}.json",
            **_counted(self.kind, counts),
        }
        return self.model_copy(update=changes)


CURATE_COUNTS = (
    "videos",
    "videos_done_before",
    "clips_kept",
    "clips_rejected",
    "units_run",
    "units_reused",
)
"""Columns that only `curate` fills."""


def new_run_id(started: datetime) -> str:
    """Return an id for a run that starts at a time, UTC."""
    return f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _counted(kind: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """The columns that hold the counts of a run."""
    if kind != "curate":
        return {"counts": json.dumps(dict(counts))}
    columns = {name: counts.get(name, 0) for name in CURATE_COUNTS}
    return {"counts": json.dumps(columns), **columns}
