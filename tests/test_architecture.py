"""Imports run one way: flows -> tasks -> schemas, vexpress."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FORBIDDEN = {
    "flows": {"tests", "benchmarks"},
    "tasks": {"flows", "prefect", "tests", "benchmarks"},
    "schemas": {"flows", "tasks", "vexpress", "prefect", "ray", "tests", "benchmarks"},
    "vexpress": {"flows", "tasks", "schemas", "prefect", "ray", "tests", "benchmarks"},
}
HEAVY = {"torch", "ray", "prefect", "av", "cv2", "diffusers", "transformers", "duckdb", "pyarrow"}


def imported(tree: ast.Module) -> set[str]:
    """Libraries and our own folders that a module imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found.add(str(node.module))
    return {top(name) for name in found}


def top(module: str) -> str:
    """The library, or for our own modules the folder at the top: `vexpress.tasks.x` is `tasks`."""
    first, _, rest = module.partition(".")
    second = rest.split(".")[0]
    return second if first == "vexpress" and second in FORBIDDEN else first


def modules(package: str) -> list[Path]:
    return sorted(
        path
        for path in (REPOSITORY / package).rglob("*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package: str) -> None:
    assert modules(package)
    wrong = {
        str(path.relative_to(REPOSITORY)): both
        for path in modules(package)
        if (both := imported(ast.parse(path.read_text())) & FORBIDDEN[package])
    }
    assert wrong == {}


def test_only_the_engine_the_pool_of_generators_and_training_know_ray() -> None:
    knowing = {
        str(path.relative_to(REPOSITORY))
        for package in ("flows", "tasks")
        for path in modules(package)
        if "ray" in imported(ast.parse(path.read_text()))
    }
    steps = {path for path in knowing if path.startswith("tasks/")}
    assert "tasks/engine/engine.py" in steps
    known = {"tasks/engine/engine.py", "tasks/generate/pool.py"}
    assert {path for path in steps if "tasks/train/" not in path} == known


def test_commands_import_nothing_heavy_until_they_run() -> None:
    code = "import sys, vexpress.flows.cli.app; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(said.stdout.split()) == set()
