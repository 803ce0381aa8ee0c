"""Versions of libraries, also where another build stands in for one, or none is there."""

import importlib.metadata
import json

import pytest

from vexpress.schemas import versions
from vexpress.schemas.versions import versions_of


def test_another_build_of_a_library_is_found_and_a_missing_one_is_null(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in the GPU image, where onnxruntime-gpu is installed and onnxruntime is not."""
    monkeypatch.setitem(versions.STANDS_IN, "numpy-of-another-machine", "numpy")
    found = json.loads(versions_of(("numpy", "numpy-of-another-machine", "no-such-package")))
    numpy = importlib.metadata.version("numpy")
    assert list(found.values()) == [numpy, numpy, None]
