"""Installed versions of libraries, whichever build of them is there."""

import importlib.metadata
import json
from collections.abc import Iterable

STANDS_IN = {"onnxruntime": "onnxruntime-gpu", "opencv-python": "opencv-python-headless"}
"""Packages, and other builds of the same library that may be there in their place."""


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or of the one that stands in for it."""
    for name in (package, STANDS_IN.get(package, package)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def versions_of(packages: Iterable[str]) -> str:
    """Return the installed versions as a JSON object; null for what is not installed."""
    return json.dumps({package: version_of(package) for package in packages})
