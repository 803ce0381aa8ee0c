"""Checkpoints of a stage: complete or not there at all, the last few kept.

checkpoints/step-00000100/state.pt          everything that changes while training
                          checkpoint.json   step, size and sha256 of state.pt
"""

import errno
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from vexpress.errors import CheckpointError
from vexpress.files import flush_to_disk
from vexpress.hashes import sha256_of_file

log = logging.getLogger(__name__)
STATE, NOTE = "state.pt", "checkpoint.json"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Checkpoints:
    """The checkpoints in `folder`."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint under another name, then rename it; drop the oldest.

        Raises CheckpointError when the disk is full, and the OSError of a file system that may
        get over it; earlier ones stay.
        """
        partial = self.folder / f".partial-{os.getpid()}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with (partial / STATE).open("wb") as file:  # so that errors have their number
                torch.save(state, file)
            note = {"step": step, **_fingerprint(partial / STATE)}
            (partial / NOTE).write_text(json.dumps(note))
            flush_to_disk(partial / STATE)
            target = self._path(step)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except (OSError, RuntimeError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            cause = error if isinstance(error, OSError) else error.__context__  # torch's own
            if isinstance(cause, OSError) and cause.errno not in FULL:
                raise cause from None
            raise CheckpointError(self._not_saved(step, cause or error)) from error
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old))

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        found = self.folder.glob(f"step-*/{NOTE}")
        return sorted(int(path.parent.name.removeprefix("step-")) for path in found)

    def newest_complete(self) -> int | None:
        """Step of the newest checkpoint that is complete; None where there is none at all.

        Reads it from end to end. Raises CheckpointError when there are some and all are damaged.
        """
        for leftover in self.folder.glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        steps = self.steps()
        for step in reversed(steps):
            problem = _problem(self._path(step))
            if problem is None:
                return step
            log.warning("%s is damaged (%s); taking the one before", self._path(step), problem)
        if steps:
            raise CheckpointError(
                f"{self.folder}: expected a complete checkpoint, found {len(steps)} that are all "
                "damaged. Delete the folder to train the stage again from its start."
            )
        return None

    def load(self, step: int) -> dict[str, Any]:
        """A checkpoint, mapped, not read: the workers of a machine share its memory.

        Keep none of its tensors: the file is deleted when newer ones are there.
        """
        path = self._path(step) / STATE
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return state

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _not_saved(self, step: int, error: BaseException) -> str:
        full = getattr(error, "errno", None) in FULL
        reason = "the disk is full" if full else str(error).splitlines()[0]
        steps = self.steps()
        last = f"that of step {steps[-1]} is untouched" if steps else "there is no earlier one"
        return (
            f"{self.folder}: the checkpoint of step {step} cannot be written: {reason}; {last}. "
            "Make room and start the same command again: it resumes."
        )


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}


def _problem(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None when it is complete."""
    try:
        note = json.loads((folder / NOTE).read_text())
        found = _fingerprint(folder / STATE)
    except (OSError, ValueError) as error:
        return str(error)
    differs = [key for key in found if note.get(key) != found[key]]
    return f"{', '.join(differs)} differ from what was written" if differs else None
