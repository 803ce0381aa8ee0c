"""What tables about the whole data set are made from, so that nothing is made twice."""

from vexpress.hashes import blake2b
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import COLUMNS, part_names
from vexpress.schemas.row import Model, Row


def made_from(dataset: Dataset, tables: tuple[type[Row], ...], version: int, config: Model) -> str:
    """Return a digest of the parts of `tables`, a version of the code and its settings."""
    text = f"{version} {config.model_dump_json()}"
    for table in tables:
        for name in part_names(dataset, table):
            if name.endswith(COLUMNS):
                continue
            info = dataset.fs.info(dataset.path(name))
            stamp = info.get("ETag") or info.get("mtime") or info.get("LastModified")
            text += f"{name} {info['size']} {stamp}\n"
    return blake2b(text.encode())
