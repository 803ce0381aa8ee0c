"""`pip install .` is the whole product, also beside another project's `flows`, `tasks`, `schemas`.

Built as an archive of the source, from that as a wheel, installed into an environment of its
own; the packages it needs are those of this one, so that nothing is fetched.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.helpers.running_stack import RunningStack, curate_config
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render

pytestmark = pytest.mark.slow
PACKAGES = ("vexpress", "flows", "tasks", "schemas", "deploy")
FILES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "prefect.yaml")
FOR_SERVERS = ("automations.yaml", "*/base-job-template.json")
"""Files of deploy/ that a server is given."""
BUILD = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"


def run(*command: str | Path, **more: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the archive of the source."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(REPOSITORY / name, source)
    run(sys.executable, "-c", BUILD, folder, cwd=source)
    (archive,) = folder.glob("vexpress-*.tar.gz")
    run(*pip(), "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, archive)
    (found,) = folder.glob("vexpress-*.whl")
    return found


def pip() -> tuple[str, ...]:
    return sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"


class Installed(RunningStack):
    """Commands of the installed package, given in the folder of another project."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        super().__init__(folder)
        self.bin = folder / "environment/bin"
        venv.create(self.bin.parent, with_pip=False)
        shared = [path for path in sys.path if Path(path).name == "site-packages"]
        site = Path(
            run(self.bin / "python", "-c", "import site; print(site.getsitepackages()[0])").strip()
        )
        (site / "shared.pth").write_text("\n".join(shared))
        run(*pip(), "--python", self.bin / "python", "install", "--no-deps", "--no-index", wheel)
        self.project = folder / "another project"
        for name in ("flows", "tasks", "schemas"):
            package = self.project / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(f"raise ImportError('{name} of another project')")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "VEXPRESS"))}
        self.environment = {**kept, "PYTHONPATH": str(self.project), "HOME": str(folder)}

    def command(self, *words: str) -> str:
        """Give a `vexpress` command; return what it said."""
        return run(self.bin / "vexpress", *words, env=self.environment, cwd=self.project)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("installed"), wheel)
    face = Face(width_px=150)
    say = (Speech(start_s=0.1, text="What is done once is never done again."),)
    size = VideoFormat(width=480, height=360)
    (made.data / "videos").mkdir(parents=True)
    shot = Shot(duration_s=2.4, faces=(face,), speech=say)
    render([shot], made.data / "videos/talk.mp4", size)
    return made


def source_files() -> Iterator[str]:
    """Every file of the packages, followed through the links."""
    for folder, below, names in os.walk(REPOSITORY / "vexpress", followlinks=True):
        below[:] = [name for name in below if name not in ("__pycache__", "deploy")]
        for name in names:
            yield str((Path(folder) / name).relative_to(REPOSITORY))


def test_the_wheel_has_every_file_of_the_packages_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    deploy = REPOSITORY / "deploy"
    given = {file.relative_to(deploy) for glob in FOR_SERVERS for file in deploy.glob(glob)}
    assert inside == {*source_files(), *(f"vexpress/flows/server/deploy/{file}" for file in given)}
    assert "vexpress/flows/server/prefect.yaml" in inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_it_is_imported_from_where_it_was_installed(installed: Installed) -> None:
    code = "import vexpress.tasks.curate.config as c; print(c.__file__)"
    inside = {"env": installed.environment, "cwd": installed.project}
    found = run(installed.bin / "python", "-c", code, **inside)
    assert Path(found.strip()).is_relative_to(installed.bin.parent)


def test_commands_run_in_a_project_with_packages_of_our_names(installed: Installed) -> None:
    assert installed.command("--version").startswith("vexpress 0.")
    assert "curate" in installed.command("--help")
    dataset = installed.data / "dataset"
    settings = ("--preset", "permissive", "--set", "faces.backend=dlib")
    smaller = ("--set", "keep.min_face_side_px=40")
    said = installed.command(
        "curate", str(installed.data / "videos"), str(dataset), *settings, *smaller
    )
    assert "kept" in said
    count = "SELECT count(*) FROM clips WHERE status = 'kept'"
    assert "1" in installed.command("query", str(dataset), count).split()
    assert (dataset / "report.html").is_file()


def test_a_server_starts_runs_a_deployment_and_stops(installed: Installed) -> None:
    try:
        assert "deployments  applied" in installed.up()
        run_id = installed.trigger(
            "curate", {"source": "videos", "dataset": "second", "config": curate_config()}
        )
        installed.complete(run_id)
        assert (installed.data / "second/report.html").is_file()
    finally:
        assert "server stopped" in installed.down()


def test_up_starts_nothing_where_a_file_is_missing(installed: Installed) -> None:
    (file,) = installed.bin.parent.glob("lib/*/site-packages/vexpress/flows/server/prefect.yaml")
    away = file.rename(file.with_suffix(".away"))
    state = installed.state.with_name("second state")
    try:
        done = subprocess.run(
            [installed.bin / "vexpress", "up", str(installed.data), "--state", str(state)],
            capture_output=True,
            text=True,
            env=installed.environment,
            cwd=installed.project,
        )
    finally:
        away.rename(file)
    assert done.returncode == 2
    assert "prefect.yaml: expected a file of the package" in done.stderr
    assert "Install vexpress again" in done.stderr
    assert not state.exists()
