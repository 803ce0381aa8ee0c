"""The page of a data set again, from the UI or a schedule."""

from prefect import flow

from vexpress.flows.artifacts import publish_funnel, publish_sheets
from vexpress.schemas.dataset import Dataset
from vexpress.tasks.reports.dataset_page import ReportPaths, write_report


@flow(name="report")
def report(dataset: str) -> ReportPaths:
    """Write the page of a data set again, and show its funnel and contact sheets here.

    Args:
        dataset: Folder or s3:// prefix of the data set.
    """
    data = Dataset(dataset)
    written = write_report(data)
    publish_funnel(data, data.uri(written.page), [])
    publish_sheets(data, written.sheets)
    return written
