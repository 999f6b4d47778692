"""The programs of docs/audit.md, without code of hashdb: they accept valid evidence and report altered evidence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashdb.cli.home import configured_signing
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, Scope
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from hashdb.web import create_app
from tests.published import publish
from tests.snippets import ROOT, steps
from tests.web.callers import Caller

PAGE = (ROOT / "docs" / "audit.md").read_text("utf-8")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs of the page, and the evidence that its first step downloads."""
    folder = tmp_path_factory.mktemp("published")
    home = folder / "home"
    options = {name.removeprefix("HASHDB_").lower(): value for name, value in publish(home, folder).items()}
    settings = Settings(home=home, **options)  # type: ignore[arg-type]
    db = open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))
    try:
        _download(db, settings, folder)
    finally:
        db.close()
    for name, text in re.findall(r"^```python save (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        (folder / name).write_text(text)
    return folder


def _download(db: HashDB, settings: Settings, folder: Path) -> None:
    secret = members.issue_key(db, COMMAND_LINE, 1, KeyDraft(frozenset({Scope.AUDIT, Scope.FEED}))).secret
    auditor = Caller(create_app(db, settings).test_client(), secret)
    ndjson = {"Accept": "application/x-ndjson"}
    (folder / "changes.jsonl").write_text(auditor.get("/v1/changes?after=0", headers=ndjson).text)
    for name, path in {
        "cosigned.txt": "checkpoint/cosigned",
        "newest.txt": "checkpoint",
        "receipt.txt": "receipts?seq=3",
    }.items():
        (folder / name).write_text(auditor.get(f"/v1/{path}").text)
    note = auditor.get("/v1/set").json
    assert note
    (folder / "set.json").write_text(json.dumps(note))
    (folder / "set.txt").write_text(note["note"])
    events = auditor.get("/v1/events?after=0&limit=1000").json
    assert events
    _write(folder / "events.jsonl", events["events"])


@pytest.fixture
def evidence(published: Path, tmp_path: Path) -> Path:
    """A copy of the programs and the evidence, which a test may change."""
    for file in published.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def run(folder: Path, program: str, *files: str) -> tuple[int, str]:
    """Run a program of the page; return its exit status and its output."""
    words = [sys.executable, program, *files]
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout + result.stderr


LOG = "verify_log.py", "events.jsonl", "newest.txt", "cosigned.txt"
NOTE = "verify_note.py", "policy.txt", "cosigned.txt"
SET = "verify_set.py", "events.jsonl", "changes.jsonl", "set.json"
ROOT_NOTE = "verify_note.py", "organisations.txt", "set.txt"
RECEIPT = "verify_receipt.py", "receipt.txt"


def test_the_page_has_these_programs() -> None:
    saved = {step.command.split()[2] for step in steps(PAGE) if step.command.startswith("cat > ")}
    assert saved == {program for program, *_ in (LOG, NOTE, SET, RECEIPT)}


@pytest.mark.parametrize("words", [LOG, NOTE, SET, ROOT_NOTE, RECEIPT], ids=" ".join)
def test_the_programs_accept_valid_evidence(evidence: Path, words: tuple[str, ...]) -> None:
    status, output = run(evidence, *words)
    assert status == 0, output


def _read(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _write(file: Path, rows: Rows) -> None:
    file.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _item(changes: Rows, id: int) -> dict[str, Any]:
    """The contribution in its last change."""
    versions = (
        change["contribution"] for change in reversed(changes) if change.get("contribution", {}).get("id") == id
    )
    last = next(versions)
    assert isinstance(last, dict)
    return last


def alter_an_event(events: Rows) -> None:
    events[2]["actor"] = "key:99"


def remove_an_event(events: Rows) -> None:
    del events[2]


def alter_a_signal(changes: Rows) -> None:
    signals = _item(changes, 2)["signals"]
    signals[0] = signals[0][:-1] + ("0" if signals[0][-1] != "0" else "1")


def remove_a_signal(changes: Rows) -> None:
    del _item(changes, 1)["signals"][0]


def move_a_frame(changes: Rows) -> None:
    _item(changes, 6)["frames"][1]["at"] += 0.5


def alter_a_window(changes: Rows) -> None:
    _item(changes, 8)["frames"][0]["words"][1] += 1


def hide_a_suppressed_signal(changes: Rows) -> None:
    _item(changes, 2)["undisclosed"].clear()


def withhold_a_salt(changes: Rows) -> None:
    del _item(changes, 1)["salt"]


def leave_out_a_commitment(changes: Rows) -> None:
    del _item(changes, 1)["commitment"]


def hide_a_contribution(changes: Rows) -> None:
    changes[:] = [change for change in changes if change.get("contribution", {}).get("id") != 8]


def plant_a_contribution(changes: Rows) -> None:
    changes.insert(0, {"seq": 1, "contribution": {**_item(changes, 1), "id": 77}})


def alter_a_standing(changes: Rows) -> None:
    _item(changes, 1)["standing"] = "disputed"


@pytest.mark.parametrize(
    ("alter", "file", "words", "message"),
    [
        (alter_an_event, "events.jsonl", LOG, "event 3 was changed"),
        (remove_an_event, "events.jsonl", LOG, "event 3 is missing"),
        (alter_a_signal, "changes.jsonl", SET, "the signals of contribution 2 are not those of its event"),
        (remove_a_signal, "changes.jsonl", SET, "the signals of contribution 1 are not those of its event"),
        (move_a_frame, "changes.jsonl", SET, "the signals of contribution 6 are not those of its event"),
        (alter_a_window, "changes.jsonl", SET, "the signals of contribution 8 are not those of its event"),
        (hide_a_suppressed_signal, "changes.jsonl", SET, "the signals of contribution 2 are not those of its event"),
        (withhold_a_salt, "changes.jsonl", SET, "the salt of contribution 1 is withheld"),
        (leave_out_a_commitment, "changes.jsonl", SET, "contribution 1 is not that of the log"),
        (hide_a_contribution, "changes.jsonl", SET, "the feed lacks the contributions [8]"),
        (plant_a_contribution, "changes.jsonl", SET, "contribution 77 matches in the feed, and not by the log"),
        (alter_a_standing, "changes.jsonl", SET, "contribution 1 is not that of the log"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_the_programs_report_altered_evidence(
    evidence: Path, alter: Callable[[Rows], None], file: str, words: tuple[str, ...], message: str
) -> None:
    rows = _read(evidence / file)
    alter(rows)
    _write(evidence / file, rows)
    status, output = run(evidence, *words)
    assert status == 1
    assert message in output


def test_a_wrong_root_in_an_event_is_reported(evidence: Path) -> None:
    rows = _read(evidence / "events.jsonl")
    committed = next(event for event in rows if event["action"] == "set.committed")
    committed["details"]["root"] = "00" * 32
    _write(evidence / "events.jsonl", rows)
    assert run(evidence, *SET) == (1, f"event {committed['seq']} has another root\n")


def test_a_log_without_the_root_is_reported(evidence: Path) -> None:
    rows = _read(evidence / "events.jsonl")
    _write(evidence / "events.jsonl", [event for event in rows if event["action"] != "set.committed"])
    assert run(evidence, *SET) == (1, "the log does not have the root of set.json\n")


def test_a_checkpoint_that_does_not_fit_the_events_is_reported(evidence: Path) -> None:
    origin, size, *rest = (evidence / "newest.txt").read_text().split("\n")
    (evidence / "newest.txt").write_text("\n".join([origin, str(int(size) - 1), *rest]))
    assert run(evidence, *LOG) == (1, "the events are not those of newest.txt\n")


def test_a_note_without_valid_signatures_is_rejected(evidence: Path) -> None:
    note = (evidence / "cosigned.txt").read_text()
    lines = note.splitlines(keepends=True)
    (evidence / "cosigned.txt").write_text("".join(lines[:-1]))
    assert run(evidence, *NOTE) == (1, "one did not sign\nthe quorum did not sign it\n")
    (evidence / "cosigned.txt").write_text("".join([*lines[:-2], lines[-1]]))
    assert run(evidence, *NOTE)[1].endswith("no log of the policy signed it\n")
    (evidence / "cosigned.txt").write_text(note.replace(lines[1], "1\n", 1))
    status, output = run(evidence, *NOTE)
    assert status == 1 and "InvalidSignature" in output


def test_a_receipt_of_another_event_is_rejected(evidence: Path) -> None:
    text = (evidence / "receipt.txt").read_text()
    (evidence / "receipt.txt").write_text(text.replace("index 2\n", "index 1\n"))
    assert run(evidence, *RECEIPT) == (1, "the event is not in the tree of the checkpoint\n")
