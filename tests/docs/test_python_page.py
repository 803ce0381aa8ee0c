"""The lines of docs/python.md: every name is there, every call fits its function."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[2] / "docs/python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def names_of(tree: ast.Module) -> dict[str, Any]:
    """What a block imports, by name."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            found |= {alias.name: getattr(module, alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("block", BLOCKS)
def test_every_name_is_there_and_every_call_fits(block: str) -> None:
    tree = ast.parse(block)
    names = names_of(tree)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    known = [call for call in calls if call.func.id in names]  # type: ignore[attr-defined]
    for call in known:
        function = names[call.func.id]  # type: ignore[attr-defined]
        words = {str(keyword.arg): None for keyword in call.keywords}
        inspect.signature(function).bind(*[None for _ in call.args], **words)
    assert names


def test_what_reports_are_asked_for_is_there() -> None:
    from vexpress.tasks.curate_dataset import CurateReport
    from vexpress.tasks.train_model import TrainReport

    fields = {*CurateReport.model_fields, *TrainReport.model_fields}
    asked = set(re.findall(r"\b(?:report|trained)\.(\w+)", TEXT))
    assert asked == {"clips_kept", "kept_hours", "report", "weights"} <= fields
