"""From tables of requests to what is to be made: every input looked at, every id known.

`request_id` depends on the bytes of the inputs, the parameters and the weights, and on no
name: equal requests are one, and what was made before is not made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vexpress.faces.kps_file import rate_file
from vexpress.faces.strategy import Strategy
from vexpress.hashes import sha256_of_file
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.request import INPUTS, AskedVideo
from vexpress.schemas.row import Model
from vexpress.tasks.engine.component import make_key
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.generate.config import GenerateConfig, Parameters
from vexpress.tasks.generate.request_clips import ClipInputs, find_clips
from vexpress.tasks.generate.request_files import (
    Roots,
    check_kps,
    check_portrait,
    check_sound,
    check_video,
    without_credentials,
)
from vexpress.tasks.generate.request_table import is_query, list_tables, merge, read_requests
from vexpress.tasks.generate.weights import UsedWeights

VERSION = 2
"""Raised when the same request gives another video."""


class PlannedVideo(Model):
    """A request whose inputs are there and look right."""

    request_id: str
    asked_id: str
    table: str
    asked: AskedVideo
    files: dict[str, str]
    """Absolute path of each file to read, by column."""
    digests: dict[str, str]
    """SHA-256 of each of these files, and of the clip."""
    clip: ClipInputs | None
    strategy: Strategy
    parameters: Parameters
    sound_s: float
    """Length of the sound as its header claims, seconds."""

    @property
    def portrait_key(self) -> str:
        """Equal where the portrait's part of the work is equal."""
        asked = self.parameters
        source = self.digests.get("reference") or self.digests["clip_id"]
        return f"{source} {asked.width}x{asked.height} {asked.auto_crop}"


@dataclass
class RequestPlan:
    """What a run shall do."""

    asked: int = 0
    """Rows of all tables."""
    videos: list[PlannedVideo] = field(default_factory=list)
    """To be made now."""
    rejected: list[Generation] = field(default_factory=list)
    """Rows that cannot be made, with the reason."""
    known: list[Generation] = field(default_factory=list)
    """Rows that cannot be made, as an earlier run wrote down already."""
    equal: int = 0
    """Rows that ask for what an earlier row asks for."""
    done: int = 0
    """Rows that were made (or tried) before."""
    failed_before: int = 0
    """Those of them that failed."""


def plan_requests(
    requests: str, dataset: Dataset, config: GenerateConfig, weights: UsedWeights, run_id: str
) -> RequestPlan:
    """Read all tables of `requests` and look at what they name.

    Raises ConfigError, before anything else is done, for tables that are wrong themselves.
    """
    tables = [(t, read_requests(t, dataset, config.parameters)) for t in list_tables(requests)]
    planner = Planner(dataset, config, weights, run_id)
    plan = RequestPlan()
    seen: set[str] = set()
    for table, rows in tables:
        for answer in planner.plan(table, rows):
            plan.asked += 1
            if answer.request_id in seen:
                plan.equal += 1
            elif isinstance(answer, Generation):
                plan.rejected.append(answer)
            else:
                plan.videos.append(answer)
            seen.add(answer.request_id)
    return plan


class Planner:
    """Looks at each file once, however many requests name it."""

    def __init__(
        self, dataset: Dataset, config: GenerateConfig, weights: UsedWeights, run_id: str
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.weights = weights
        self.run_id = run_id
        self._seen: dict[tuple[str, str], Any] = {}
        self._digests: dict[str, str] = {}

    def plan(self, table: str, rows: list[AskedVideo]) -> Iterator[PlannedVideo | Generation]:
        """Yield for each row what is to be made, or the row that says why it is not."""
        base = None if is_query(table) else Path(table).parent
        data = [Path(self.dataset.root)] if self.dataset.is_local else []
        roots = Roots([*([base] if base else []), *data, *map(Path, self.config.allow)])
        start = base or (data[0] if data else None)
        clips = find_clips(self.dataset, [row.clip_id for row in rows if row.clip_id])
        for row in rows:
            asked_id = self._asked_id(row, start)
            try:
                yield self._plan(table, row, asked_id, roots, start, clips)
            except Rejection as rejection:
                yield self._rejected(table, row, asked_id, rejection)

    def _plan(
        self,
        table: str,
        row: AskedVideo,
        asked_id: str,
        roots: Roots,
        base: Path | None,
        clips: dict[str, ClipInputs],
    ) -> PlannedVideo:
        asked = self._parameters(row)
        files = {
            column: roots.resolve(text, base)
            for column, text in row.inputs().items()
            if column != "clip_id"
        }
        clip = clips.get(row.clip_id) if row.clip_id else None
        if row.clip_id and clip is None:
            raise Rejection(
                "no_clip", f"clip_id {row.clip_id}: expected a clip with media, found none"
            )
        sound_s = self._look(files, clip)
        digests = {column: self._digest(path) for column, path in files.items()}
        if "kps" in files and rate_file(files["kps"]).is_file():
            digests["kps"] += self._digest(rate_file(files["kps"]))
        if clip:
            digests["clip_id"] = clip.digest
        strategy = asked.strategy or _strategy(row)
        return PlannedVideo(
            request_id=self._request_id(digests, asked, strategy),
            asked_id=asked_id,
            table=table,
            asked=row,
            files={column: str(path) for column, path in files.items()},
            digests=digests,
            clip=clip,
            strategy=strategy,
            parameters=asked,
            sound_s=sound_s,
        )

    def _parameters(self, row: AskedVideo) -> Parameters:
        asked = merge(self.config.parameters, row.parameters)
        if asked.width * asked.height > self.config.limits.video_pixels:
            raise Rejection(
                "too_large",
                f"expected a video of at most {self.config.limits.video_pixels} pixels, "
                f"found {asked.width}x{asked.height}. limits.video_pixels allows more",
            )
        if asked.preview and not self.config.model.preview_vae:
            raise Rejection("bad_settings", "preview: expected model.preview_vae to be set")
        return asked

    def _look(self, files: dict[str, Path], clip: ClipInputs | None) -> float:
        """Check every file; return the seconds of sound."""
        limits = self.config.limits
        if "reference" in files:
            self._once(check_portrait, files["reference"], limits)
        if "kps" in files:
            self._once(check_kps, files["kps"])
        if "video" in files:
            self._once(check_video, files["video"], limits)
        if "audio" in files:
            return float(self._once(check_sound, files["audio"], limits))
        assert clip is not None
        if clip.seconds > limits.sound_s:
            raise Rejection("too_long", f"expected at most {limits.sound_s:g} s, found more")
        return clip.seconds

    def _once(self, check: Any, path: Path, *more: Any) -> Any:
        """Return the answer of a check, or raise its Rejection, from memory where known."""
        key = (check.__name__, str(path))
        if key not in self._seen:
            try:
                self._seen[key] = check(path, *more)
            except Rejection as rejection:
                self._seen[key] = rejection
            except OSError as error:
                why = error.strerror or str(error)
                self._seen[key] = Rejection("no_file", f"{path}: it cannot be read: {why}")
        if isinstance(self._seen[key], Rejection):
            raise self._seen[key]
        return self._seen[key]

    def _digest(self, path: Path) -> str:
        if str(path) not in self._digests:
            self._digests[str(path)] = sha256_of_file(path)
        return self._digests[str(path)]

    def _request_id(self, digests: dict[str, str], asked: Parameters, strategy: Strategy) -> str:
        model = self.config.model.model_dump_json(exclude={"preset", "preview_vae"})
        inputs = [part for column in INPUTS for part in (column, digests.get(column))]
        settings = asked.model_dump_json(exclude={"strategy"})
        return make_key(
            "video", VERSION, *inputs, strategy.value, settings, model, self.weights.sha256
        )

    def _asked_id(self, row: AskedVideo, base: Path | None) -> str:
        inputs = [
            part
            for column, text in row.inputs().items()
            for part in (column, text if column == "clip_id" else str((base or Path("/")) / text))
        ]
        parameters = sorted(f"{name}={value}" for name, value in row.parameters.items())
        return make_key("asked", *inputs, *parameters, self.weights.sha256)

    def _rejected(
        self, table: str, row: AskedVideo, asked_id: str, rejection: Rejection
    ) -> Generation:
        now = datetime.now(UTC).isoformat()
        return new_row(
            table,
            row,
            merge(self.config.parameters, row.parameters),
            self.weights,
            request_id=asked_id,
            asked_id=asked_id,
            run_id=self.run_id,
            status="rejected",
            reason=rejection.reason,
            detail=rejection.detail,
            started_at=now,
            finished_at=now,
        )


def _strategy(row: AskedVideo) -> Strategy:
    if row.clip_id and not row.reference:
        return Strategy.NO_RETARGET
    driven = row.kps or row.video or row.clip_id
    return Strategy.SIMILARITY_RETARGET if driven else Strategy.FIX_FACE


def new_row(
    table: str, row: AskedVideo, asked: Parameters, weights: UsedWeights, **values: Any
) -> Generation:
    """Return a row of `generations` for a request; `values` are the other columns."""
    clip = f"clip {row.clip_id}"
    known = {
        "requests": table,
        "row_number": row.row_number,
        "name": row.name,
        "reference": _clean(row.reference or clip),
        "audio": _clean(row.audio or clip),
        "driving_kps": row.kps and _clean(row.kps),
        "driving_video": row.video and _clean(row.video),
        "clip_id": row.clip_id,
        "strategy": asked.strategy or _strategy(row),
        "parameters": asked.model_dump_json(exclude={"strategy"}),
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "licence": weights.licence,
        "width": asked.width,
        "height": asked.height,
        "fps": asked.fps,
        "notes": [],
        "seconds": 0.0,
        "attempt": 0,
        "worker": "",
    }
    return Generation(**{**known, **values})


def _clean(text: str) -> str:
    return without_credentials(text).replace("\0", "\\0")
