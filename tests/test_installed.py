"""`pip install .` is the whole product, also beside another project's `flows`, `tasks`, `schemas`.

(The server of tests/flows/server is that of an installed package, too.)
"""

import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.installed import Installed
from tests.helpers.wheel import FOR_SERVERS, REPOSITORY, run
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render

pytestmark = pytest.mark.slow


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
