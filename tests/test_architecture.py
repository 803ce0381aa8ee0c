"""Imports run one way: between the folders at the top, between rooms, between files."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import vexpress
from vexpress.flows.cli import app

REPOSITORY = Path(__file__).parents[1]
TOP = ("vexpress", "schemas", "tasks", "flows")
LINKS = {
    **{f"vexpress/{name}": name for name in ("flows", "schemas", "tasks")},
    **{f"flows/server/{name}": name for name in ("deploy", "prefect.yaml")},
}
"""Links and what they lead to at the top: one import name for all, and a wheel with all of it."""
FORBIDDEN = {
    "flows": {"tests", "benchmarks"},
    "tasks": {"flows", "prefect", "tests", "benchmarks"},
    "schemas": {"flows", "tasks", "vexpress", "prefect", "ray", "tests", "benchmarks"},
    "vexpress": {"flows", "tasks", "schemas", "prefect", "ray", "tests", "benchmarks"},
}
GROUND = {"vexpress.errors", "vexpress.files", "vexpress.hashes"}
"""What every folder may import: these import nothing of ours but each other."""
ROOMS = {
    "vexpress": (
        *("errors", "files", "hashes", "pt_files"),
        *("networks", "weights", "media", "faces", "sync"),
        *("inference", "metrics", "training"),
    ),
    "vexpress.tasks": (
        *("engine", "media", "curate", "train", "generate", "evaluate", "export", "reports"),
    ),
}
"""The rooms of a package, in order: each may import those before it."""
COMMANDS = {"curate_dataset", "train_model", "generate_videos", "evaluate_videos", "pipeline"}
"""Files right in `tasks/`, a function behind each command: above all rooms, in none of them."""
MOST_ARROWS = 20
"""Fewer pairs of rooms than this import one another in `tasks/`."""
HEAVY = {"torch", "ray", "prefect", "av", "cv2", "diffusers", "transformers", "duckdb", "pyarrow"}
LIGHT = (
    *("vexpress", "vexpress.errors", "vexpress.files", "vexpress.hashes"),
    *("vexpress.weights.catalogue", "vexpress.weights.quiet"),
    *("vexpress.faces.points", "vexpress.faces.strategy"),
    *("vexpress.inference.settings", "vexpress.inference.request"),
    *("vexpress.training.settings", "vexpress.training.presets", "vexpress.training.stage_job"),
    *("vexpress.training.metrics_log", "vexpress.metrics.table", "vexpress.sync.estimate"),
)
"""Files of the model's package that must not import what is heavy: commands read them at once."""
INSIDE = {
    ("vexpress.tasks.curate.scenes", "vexpress.media.shots"),
    ("vexpress.tasks.curate.scores.speaker", "vexpress.sync.active_speaker"),
    ("vexpress.tasks.curate.scores.syncnet", "vexpress.sync.syncnet"),
}
"""Files of ours, and the torch networks of ours that they import inside functions: a run that does
not use them loads no torch. The command line does so throughout."""


def found_in(package: str, pattern: str) -> list[Path]:
    """Paths in a folder at the top, not those behind links to other folders at the top."""
    return sorted(
        path
        for path in (REPOSITORY / package).rglob(pattern)
        if not any(parent.is_symlink() for parent in path.parents)
    )


def modules(package: str) -> list[Path]:
    """The files of a folder at the top."""
    return found_in(package, "*.py")


def name_of(path: Path) -> str:
    """`tasks/engine/step.py` is imported as `vexpress.tasks.engine.step`."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    parts = parts if parts[0] == "vexpress" else ("vexpress", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for package in TOP for path in modules(package)}


def imports(tree: ast.AST) -> Iterator[str]:
    """What a file imports anywhere, also inside functions; modules of ours by their own name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in FILES else str(node.module)


GRAPH = {
    name: {found for found in imports(ast.parse(path.read_text())) if found in FILES} - {name}
    for name, path in FILES.items()
}
"""Every file of ours with the files of ours that it imports."""


def imported(tree: ast.Module) -> set[str]:
    """Libraries and our own folders at the top that a file imports."""
    return {top(name) for name in imports(tree) if name not in GROUND}


def top(module: str) -> str:
    """The library, or for our own modules the folder at the top: `vexpress.tasks.x` is `tasks`."""
    first, _, rest = module.partition(".")
    second = rest.split(".")[0]
    return second if first == "vexpress" and second in FORBIDDEN else first


def arrows(package: str) -> set[tuple[str, str]]:
    """Pairs of different files or folders right inside a package, of which one imports the
    other."""
    start = f"{package}."
    inside = {
        name: name.removeprefix(start).split(".")[0] for name in FILES if name.startswith(start)
    }
    pairs = {
        (inside[name], inside[other]) for name in inside for other in GRAPH[name] if other in inside
    }
    return {(room, other) for room, other in pairs if room != other}


def between_rooms(package: str) -> set[tuple[str, str]]:
    """Arrows without those of what is above all rooms, which no room imports."""
    above = {*TOP, *COMMANDS}
    pairs = arrows(package)
    assert {(room, other) for room, other in pairs if other in above and room not in above} == set()
    return {(room, other) for room, other in pairs if room not in above}


def circle(pairs: set[tuple[str, str]]) -> list[str]:
    """Some names that import each other in a circle; none where there is no circle."""
    graph: dict[str, set[str]] = {}
    for name, other in pairs:
        graph.setdefault(name, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package: str) -> None:
    assert modules(package)
    wrong = {
        str(path.relative_to(REPOSITORY)): both
        for path in modules(package)
        if (both := imported(ast.parse(path.read_text())) & FORBIDDEN[package])
    }
    assert wrong == {}


def test_our_own_files_are_imported_inside_functions_by_commands_alone() -> None:
    found = {
        (name, other)
        for name, path in FILES.items()
        if not name.startswith("vexpress.flows.cli.")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for other in imports(node)
        if other in FILES
    }
    assert found == INSIDE


@pytest.mark.parametrize("module", sorted(GROUND))
def test_what_every_folder_may_import_imports_nothing_of_ours(module: str) -> None:
    assert GRAPH[module] <= GROUND


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle({(name, other) for name in GRAPH for other in GRAPH[name]}) == []


@pytest.mark.parametrize("package", [n for n, p in FILES.items() if p.name == "__init__.py"])
def test_nothing_in_a_package_imports_in_a_circle(package: str) -> None:
    """Neither files nor folders: where `a/` imports `b/`, no file of `b/` imports one of `a/`."""
    assert circle(arrows(package)) == []


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_rooms_before_them(package: str) -> None:
    order = ROOMS[package]
    found = between_rooms(package)
    assert {room for pair in found for room in pair} <= set(order), "a room without its place"
    assert {pair for pair in found if order.index(pair[0]) < order.index(pair[1])} == set()


def test_few_rooms_of_tasks_import_one_another() -> None:
    assert 0 < len(between_rooms("vexpress.tasks")) < MOST_ARROWS


def test_only_names_of_vexpress_and_commands_are_imported_by_a_string() -> None:
    ways = {"import_module", "__import__", "exec", "spec_from_file_location", "run_path"}
    found = set()
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            word = getattr(called, "attr", getattr(called, "id", ""))
            found |= {name} if word in ways else set()
    assert found == {"vexpress", "vexpress.flows.cli.app"}
    assert all(f"vexpress.{module}" in FILES for module in vexpress._HOME.values())
    assert all(f"vexpress.flows.cli.{module}" in FILES for module in app.COMMANDS.values())
    assert set(vexpress.__all__) <= set(vexpress._HOME) | {"__version__"}


def test_the_only_links_lead_to_the_top() -> None:
    found = [path for package in TOP for path in found_in(package, "*") if path.is_symlink()]
    assert {str(path.relative_to(REPOSITORY)) for path in found} == set(LINKS)
    for link, target in LINKS.items():
        assert (REPOSITORY / link).resolve() == REPOSITORY / target


def test_only_the_engine_the_pool_of_generators_and_training_know_ray() -> None:
    knowing = {
        str(path.relative_to(REPOSITORY))
        for package in ("flows", "tasks")
        for path in modules(package)
        if "ray" in imported(ast.parse(path.read_text()))
    }
    steps = {path for path in knowing if path.startswith("tasks/")}
    assert "tasks/engine/engine.py" in steps
    known = {"tasks/engine/engine.py", "tasks/engine/ray_cluster.py", "tasks/generate/pool.py"}
    assert {path for path in steps if "tasks/train/" not in path} == known


def test_commands_import_nothing_heavy_until_they_run() -> None:
    code = "import sys, vexpress.flows.cli.app; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(said.stdout.split()) == set()


def test_settings_names_and_places_are_read_without_heavy_libraries() -> None:
    """In a process of its own: here pytest has imported much already."""
    code = f"import sys, {', '.join(LIGHT)}; print(*({HEAVY | {'scipy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
