"""The package built as its users have it: an archive of the source, from that a wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
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


def build_wheel(folder: Path) -> Path:
    """Build the wheel from the archive of the source."""
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
