"""What tables about the whole data set are made from, so that nothing is made twice."""

import hashlib

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import COLUMNS, part_names
from vexpress.schemas.row import Model, Row


def made_from(dataset: Dataset, tables: tuple[type[Row], ...], version: int, config: Model) -> str:
    """Return a digest of the parts of `tables`, a version of the code and its settings."""
    digest = hashlib.blake2b(f"{version} {config.model_dump_json()}".encode(), digest_size=16)
    for table in tables:
        for name in part_names(dataset, table):
            if name.endswith(COLUMNS):
                continue
            info = dataset.fs.info(dataset.path(name))
            stamp = info.get("ETag") or info.get("mtime") or info.get("LastModified")
            digest.update(f"{name} {info['size']} {stamp}\n".encode())
    return digest.hexdigest()
