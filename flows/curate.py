"""Curation as Prefect flows: a batch of videos is a task run."""

from prefect import flow

from vexpress.flows.artifacts import publish_funnel, publish_sheets
from vexpress.flows.monitor import PrefectMonitor
from vexpress.schemas.dataset import Dataset
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate_dataset import CurateReport, curate_dataset, retry_failures


@flow(name="curate")
def curate(
    source: str,
    dataset: str,
    config: CurateConfig = CurateConfig(),
    weights: str | None = None,
    licence: str | None = None,
    limit: int | None = None,
    root: str | None = None,
) -> CurateReport:
    """Turn raw talking-head videos into clips, V-Kps, sound and manifests.

    Args:
        source: File, folder (with all below it), glob, or list (.txt, .csv, .json, .jsonl,
            .parquet) of videos or of spans of videos; local or s3://. Never written to.
        dataset: Folder or s3:// prefix of the data set; made if it is not there.
        config: Settings of every step; the preset `default` where nothing is said.
        weights: Folder with models (insightface/models/…, wav2vec2-base-960h); else that of
            VEXPRESS_WEIGHTS where the run runs.
        licence: Licence note to record for every source that does not bring its own.
        limit: Only the first N sources.
        root: Folder of the videos that a list names by relative paths or ids; else its own.
    """
    monitor = PrefectMonitor()
    return _shown(
        dataset, curate_dataset(source, dataset, config, weights, licence, limit, monitor, root)
    )


@flow(name="retry")
def retry(dataset: str, weights: str | None = None) -> CurateReport:
    """Run again what was rejected because something failed, with the last run's settings.

    Args:
        dataset: Folder or s3:// prefix of the data set.
        weights: Folder with models; else that of VEXPRESS_WEIGHTS.
    """
    return _shown(dataset, retry_failures(dataset, weights, PrefectMonitor()))


def _shown(dataset: str, report: CurateReport) -> CurateReport:
    """Return the report of a run once its artifacts are made."""
    data = Dataset(dataset)
    publish_sheets(data, report.sheets)
    publish_funnel(data, report.report, report.notes)
    return report
