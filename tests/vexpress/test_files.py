"""Files are complete under their name, or not there."""

import os
import stat
from pathlib import Path

import pytest

from vexpress.files import PARTIAL, whole_file, write_text
from vexpress.hashes import blake2b, sha256, sha256_of_file


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new folder/a.json"
    with whole_file(target, flush=True) as partial:
        partial.write_text("whole")
        assert not target.exists() and partial.parent == target.parent
        assert partial.name.endswith(PARTIAL)
    assert target.read_text() == "whole" and list(target.parent.iterdir()) == [target]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_text(target, "before")
    with pytest.raises(OSError, match="no room"), whole_file(target) as partial:
        partial.write_text("half")
        raise OSError("no room")
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_a_files_mode_is_what_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "mine", "for me alone")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600


def test_digests_are_those_that_ids_and_ledgers_hold(tmp_path: Path) -> None:
    assert blake2b(b"clip") == "9e64679e2f6c08dfaa9eb7641e5fdcf2"
    assert blake2b(b"clip", 8) == "e08a470fdbf733d3"
    (tmp_path / "file").write_bytes(b"clip")
    with (tmp_path / "file").open("rb") as opened:
        assert sha256_of_file(tmp_path / "file") == sha256_of_file(opened) == sha256(b"clip")
