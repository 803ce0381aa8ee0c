"""What a run did and with what. Table `runs`, one row per run."""

from typing import ClassVar

from vexpress.schemas.row import Row


class Run(Row):
    """Written when a run ends, by `curate` also when it begins; with it, everything in the data
    set can be explained."""

    TABLE: ClassVar[str] = "runs"

    run_id: str
    """Start time and a random part."""
    kind: str
    """What kind of run it was: `curate`; `train`, for which the columns mean what follows them
    after a semicolon; `generate`, for which sources are requests and clips are videos."""
    source: str
    """What the run was given as its source; the folder of the training run."""
    started_at: str
    """ISO 8601 UTC."""
    finished_at: str
    """ISO 8601 UTC; empty while it runs, and for ever where it was killed: counts are 0 then."""
    engine: str
    """`local` or `ray`."""
    config: str
    """The whole configuration, JSON; with the `snapshot` whose clips were trained on."""
    versions: str
    """Versions of this project and of the libraries that matter, JSON."""
    weights: str
    """Weights used: name, files, sha256 and licence, JSON list; also those that were made."""
    notes: list[str]
    """What the user was told: skipped steps, chosen back ends."""
    videos: int
    """Sources planned in this run (those already done are not planned again)."""
    videos_done_before: int
    """Sources found unchanged and already done."""
    clips_kept: int
    """Clips kept, of the sources of this run; clips to train on and to hold out."""
    clips_rejected: int
    """Candidates rejected, of the sources of this run."""
    units_run: int
    """Units of work done now; optimiser steps."""
    units_reused: int
    """Units of work found in the ledger; optimiser steps found in checkpoints."""
    step_seconds: str
    """Seconds of work per step, all workers added up, JSON object; seconds per stage."""
    snapshot: str
    """File that lists the manifest files of this state of the data set and their row counts;
    empty where the run is not finished."""
