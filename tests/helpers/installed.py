"""The package installed, and used in the folder of another project.

It is in an environment of its own; the packages it needs are those of this one, so that nothing
is fetched.
"""

import os
import sys
import venv
from pathlib import Path

from tests.helpers.running_stack import RunningStack
from tests.helpers.wheel import pip, run


class Installed(RunningStack):
    """Commands of the installed package, given in the folder of another project."""

    def __init__(self, folder: Path, wheel: Path, **environment: str) -> None:
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
        own = {"PYTHONPATH": str(self.project), "HOME": str(folder)}
        self.environment = {**kept, **own, **environment}

    def command(self, *words: str) -> str:
        """Give a `vexpress` command; return what it said."""
        return run(self.bin / "vexpress", *words, env=self.environment, cwd=self.project)
