"""Sources whose kept clips name a file that is not there any more, to be curated again.

Files of rejected clips may be deleted for room: nothing asks for them.
"""

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import fetch_rows

MISSING = """
SELECT DISTINCT source FROM (
    SELECT source, unnest([media_path, audio_path, features_path]) AS name FROM kept
) ANTI JOIN (SELECT unnest($present::VARCHAR[]) AS name) USING (name)
WHERE name IS NOT NULL ORDER BY source
"""


def sources_with_missing_files(dataset: Dataset) -> list[str]:
    """Return their URIs: somebody deleted a kept clip, its sound or its features."""
    names = [*dataset.names("media/*"), *dataset.names("features/*")]
    return [row[0] for row in fetch_rows(dataset, MISSING, present=names)]
