"""The ledger keeps what was put into it, whatever happens to the process."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from vexpress.schemas.errors import DatasetError
from vexpress.tasks.engine import ledger as module
from vexpress.tasks.engine.ledger import DoneSource, Ledger

REPOSITORY = Path(__file__).parents[3]


def done(
    uri: str, content: str | None = None, stamp: str = "s", failed: bool = False
) -> DoneSource:
    return DoneSource(uri=uri, stamp=stamp, failed=failed, content_hash=content)


def test_answers_come_back_as_they_were_put(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    answers = [b"one\ntwo,3", b"", bytes(range(256)) * 100]
    ledger.put("key", "crop", answers, failed=False, seconds=1.5)
    ledger.put("none", "crop", [], failed=False, seconds=0.5)
    assert ledger.get("other", "crop") is None
    ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite")
    assert again.get("key", "crop") == answers
    assert again.get("none", "crop") == []
    again.close()


def test_a_tally_counts_work_and_what_was_found_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.put("key", "crop", [], failed=False, seconds=1.5)
    ledger.get("key", "crop")
    ledger.get("other", "crop")
    ledger.spend("decode", 2.0)
    crop = ledger.tallies()["crop"]
    assert (crop.run, crop.reused, crop.seconds) == (1, 1, 1.5)
    assert ledger.tallies()["decode"].seconds == 2.0
    ledger.close()


def test_work_that_began_and_did_not_end_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert [ledger.begin("key"), ledger.begin("key")] == [1, 2]
    ledger.put("key", "crop", [], failed=False, seconds=0)
    assert ledger.begin("key") == 1
    ledger.close()


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from vexpress.tasks.engine.ledger import Ledger
ledger, number = Ledger(Path(sys.argv[1])), 0
while True:
    ledger.put(str(number), "crop", [str(number).encode() * 1000], False, 0)
    print(number, flush=True)
    number += 1
"""


def test_a_kill_leaves_everything_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    for least in (1, 40, 170):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(path)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        for line in process.stdout:
            if int(line) >= least:
                break
        process.send_signal(signal.SIGKILL)
        told = [least, *(int(line) for line in process.stdout if line.endswith("\n"))]
        process.wait()
        ledger = Ledger(path)
        for number in range(max(told) + 1):
            assert ledger.get(str(number), "crop") == [str(number).encode() * 1000]
        ledger.close()
        (answer,) = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()
        assert answer == "ok"


def test_a_second_run_is_locked_out_and_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_PATIENCE_S", 0.3)
    first = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(DatasetError, match="another run is writing to this data set"):
        Ledger(tmp_path / "ledger.sqlite")
    first.close()
    Ledger(tmp_path / "ledger.sqlite").close()


def test_a_run_that_was_killed_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_PATIENCE_S", 0)
    child = os.fork()
    if child == 0:
        Ledger(tmp_path / "ledger.sqlite")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    Ledger(tmp_path / "ledger.sqlite").close()


def test_a_source_is_done_with_its_stamp_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.mark_done([done("/a", "A", stamp="old")])
    assert ledger.is_done("/a", "old")
    assert not ledger.is_done("/a", "new")
    assert not ledger.is_done("/b", "old")
    ledger.close()


def test_the_first_source_of_a_content_stays_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.mark_done([done("/a", "A"), done("/b", "A"), done("/empty")])
    ledger.mark_done([done("/b", "A")])
    assert ledger.first_sources(["A", "B"]) == {"A": "/a"}
    ledger.close()


def test_copies_are_looked_at_again_once_their_original_changed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.mark_done([done("/a", "A"), done("/b", "A"), done("/c", "C")])
    ledger.mark_done([done("/a", "A2")])
    assert ledger.first_sources(["A", "A2", "C"]) == {"A2": "/a", "C": "/c"}
    assert [ledger.is_done(uri, "s") for uri in ("/a", "/b", "/c")] == [True, False, True]
    ledger.mark_done([done("/b", "A")])
    assert ledger.first_sources(["A"]) == {"A": "/b"}
    ledger.close()


def test_an_original_that_became_unreadable_lets_its_copies_go(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.mark_done([done("/a", "A"), done("/b", "A")])
    ledger.mark_done([done("/a", None)])
    assert ledger.first_sources(["A"]) == {}
    assert not ledger.is_done("/b", "s")
    ledger.close()


def test_failures_are_forgotten_and_their_sources_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.put("good", "crop", [b"1"], failed=False, seconds=0)
    ledger.put("bad", "crop", [b"2"], failed=True, seconds=0)
    ledger.mark_done([done("/b", failed=True), done("/a", failed=True), done("/good")])
    assert ledger.forget_failures() == ["/a", "/b"]
    assert ledger.get("good", "crop") == [b"1"]
    assert ledger.get("bad", "crop") is None
    assert [ledger.is_done(uri, "s") for uri in ("/a", "/good")] == [False, True]
    assert ledger.forget_failures() == ["/a", "/b"], "until they are done"
    ledger.mark_done([done("/a"), done("/b")])
    assert ledger.forget_failures() == []
    ledger.close()
