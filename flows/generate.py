"""Batch generation as a Prefect flow: a shard of requests is a task run."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.flows.monitor import PrefectMonitor
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts, connect
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate_videos import GenerateReport, generate_videos
from vexpress.tasks.reports.funnel import span
from vexpress.tasks.reports.generations_page import Shown, show
from vexpress.tasks.reports.page import jpeg_uri

PICTURES = 12
"""First frames in the summary of a generation: an artifact lies in the server's database."""
ROWS = 200
"""Most rows of the table of requests."""
GENERATIONS = """
SELECT row_number AS row, coalesce(name, '') AS name, status, coalesce(reason, '') AS reason,
       coalesce(detail, '') AS detail, coalesce(out_path, '') AS video,
       coalesce(round(frames / fps, 2), 0) AS video_s, round(seconds, 2) AS seconds, attempt
FROM generations WHERE run_id = $run
ORDER BY status = 'made', row_number LIMIT $most
"""
FIRST_MADE = """
SELECT request_id, out_path, name, reference, audio, frames, fps FROM generations
WHERE run_id = $run AND status = 'made' ORDER BY row_number LIMIT $most
"""


@flow(name="generate")
def generate(
    requests: str,
    dataset: str,
    config: GenerateConfig = GenerateConfig(),
    weights: str | None = None,
) -> GenerateReport:
    """Make the portrait videos that a table asks for; those made before are not made again.

    Args:
        requests: A table (.parquet, .csv, .jsonl, .sql), a folder of such tables (every night
            the new requests only), or a query over the data set: SELECT clip_id FROM kept.
            Columns: reference, audio, kps or video or clip_id, retarget, name, and any
            parameter by its name (steps, seed, width, …).
        dataset: Folder or s3:// prefix of the data set; made if it is not there.
        config: Model, workers, limits, and the parameters of requests that do not say otherwise.
        weights: Folder with V-Express's weights, downloaded or trained here; else that of
            VEXPRESS_WEIGHTS where the run runs.
    """
    report = generate_videos(requests, dataset, config, weights, PrefectMonitor())
    publish_generations(Dataset(dataset), report)
    return report


def publish_generations(dataset: Dataset, report: GenerateReport) -> None:
    """Leave what came of the requests as a table, and a page with first frames."""
    rows = _rows(dataset, GENERATIONS, report.run_id, ROWS)
    create_table_artifact(
        rows or [{"status": "nothing new was asked for"}],
        key="generations",
        description=f"What came of the requests, those without a video first (at most {ROWS})",
    )
    create_markdown_artifact(summary(dataset, report), key="generate-summary")


def summary(dataset: Dataset, report: GenerateReport) -> str:
    """Return what was made and where to look, as Markdown with small pictures."""
    known = f", {report.done_before} were there before" if report.done_before else ""
    lines = [f"# {report.made} videos made{known}", ""]
    lines += [
        f"- {count} without a video: `{why}`" for why, count in sorted(report.reasons.items())
    ]
    lines += [
        f"- {report.asked} requests, {report.equal} of them equal to others",
        f"- took {span(report.seconds)}",
        "",
        f"Page with all of it: `{report.page}`",
        "",
    ]
    first = _rows(dataset, FIRST_MADE, report.run_id, PICTURES)
    shown = [show(dataset, row, 1) for row in first]
    if shown:
        lines += ["## First frames", "", *map(_picture, shown), ""]
    lines.append(f'Ask: `vexpress query {dataset.root} "SELECT * FROM generations"`')
    return "\n".join(lines)


def _picture(shown: Shown) -> str:
    if not shown.pictures:
        return shown.problem
    return f"![{shown.row['request_id'][:8]}]({jpeg_uri(shown.pictures[0])})"


def _rows(dataset: Dataset, sql: str, run: str, most: int) -> list[dict[str, Any]]:
    return as_dicts(connect(dataset).execute(sql, {"run": run, "most": most}))
