"""What a run of `generate` leaves in the Prefect UI."""

from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts, connect
from vexpress.tasks.reports.funnel import span
from vexpress.tasks.reports.generations_page import Shown, show
from vexpress.tasks.reports.page import jpeg_uri

PICTURES = 12
"""First frames in the summary: an artifact lies in the server's database."""
ROWS = 200
TABLE = """
SELECT row_number AS row, coalesce(name, '') AS name, status, coalesce(reason, '') AS reason,
       coalesce(detail, '') AS detail, coalesce(out_path, '') AS video,
       coalesce(round(frames / fps, 2), 0) AS video_s, round(seconds, 2) AS seconds, attempt
FROM generations WHERE run_id = $run
ORDER BY status = 'made', row_number LIMIT $most
"""
FIRST = """
SELECT request_id, out_path, name, reference, audio, frames, fps FROM generations
WHERE run_id = $run AND status = 'made' ORDER BY row_number LIMIT $most
"""


def publish_generations(dataset: Dataset, report: Any) -> None:
    """Leave what came of the requests as a table, and a page with first frames."""
    rows = _rows(dataset, TABLE, report.run_id, ROWS)
    create_table_artifact(
        rows or [{"status": "nothing new was asked for"}],
        key="generations",
        description=f"What came of the requests, those without a video first (at most {ROWS})",
    )
    create_markdown_artifact(summary(dataset, report), key="generate-summary")


def summary(dataset: Dataset, report: Any) -> str:
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
    shown = [show(dataset, row, 1) for row in _rows(dataset, FIRST, report.run_id, PICTURES)]
    if shown:
        lines += ["## First frames", "", *map(_picture, shown), ""]
    lines.append(f'Ask: `vexpress query {dataset.root} "SELECT * FROM generations"`')
    return "\n".join(lines)


def _picture(shown: Shown) -> str:
    if not shown.pictures:
        return shown.problem
    return f"![{shown.row['request_id'][:8]}]({jpeg_uri(shown.pictures[0])})"


def _rows(dataset: Dataset, sql: str, run: str, most: int) -> list[dict[str, Any]]:
    return as_dicts(connect(dataset).sql(sql, params={"run": run, "most": most}))
