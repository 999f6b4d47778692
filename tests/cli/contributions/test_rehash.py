"""hashdb rehash: contributions of an older version get the hashes of this version and keep their ids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Addition, Contribution, Draft, Receipt
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN, BenignDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.hashing import hash_picture
from hashdb.service import open_hashdb
from hashdb.service.matching import benign
from hashdb.service.review import cases
from hashdb.settings import Settings
from tests.cli.conftest import PHOTOS, Commands
from tests.films import film

HASHES_FILE = Path(__file__).parents[2] / "data" / "hashes_of_0_1_0.json"
"""The hashes that `hashdb contribute` of version 0.1.0 sent for the first photographs."""
HASHES_OF_0_1_0 = {
    name: tuple(map(Signal.parse, signals)) for name, signals in json.loads(HASHES_FILE.read_text()).items()
}


def client_of(member: Commands) -> Client:
    return Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"])


def contribute(client: Client, name: str, signals: tuple[Signal, ...], severity: int = 2) -> Contribution:
    draft = Draft(signals, ("glorification",), datetime(2026, 11, 20, tzinfo=UTC), 100, severity=severity)
    return client.contribute([draft]).recorded[0].contribution


def test_contributions_of_version_0_1_0_get_the_hashes_of_this_version(member: Commands, tmp_path: Path) -> None:
    folder, state = tmp_path / "removed", tmp_path / "state.jsonl"
    folder.mkdir()
    for photo in PHOTOS[:4]:
        shutil.copy(photo, folder)
    (folder / "film.mp4").write_bytes(film())
    (folder / "broken.jpg").write_bytes(b"\0no picture")
    (whole, full, severe), other = [PHOTOS[i].name for i in range(3)], PHOTOS[3].name
    with client_of(member) as client:
        # The first has three hashes of the whole picture, the second all hashes of version 0.1.0. The third has these,
        # too, and a severity whose profile has more hashes in this version.
        ids = {
            whole: contribute(client, whole, HASHES_OF_0_1_0[whole][:3]).id,
            full: contribute(client, full, HASHES_OF_0_1_0[full]).id,
            severe: contribute(client, severe, HASHES_OF_0_1_0[severe], severity=4).id,
        }
        dry_run = member.json("rehash", folder, "--dry-run", status=1)
        results = member.json("rehash", folder, "--state", state, status=1)
        assert results == dry_run
        after = {name: client.contribution(id) for name, id in ids.items()}
        added = {Path(result["path"]).name: result.get("contributions", "error") for result in results}
        assert added.pop("broken.jpg") == "error"
        assert added.pop(other) == []
        assert added == {
            name: [{"id": id, "added": len(after[name].signals) + len(after[name].signatures) - sent}]
            for (name, id), sent in zip(
                ids.items(), (3, len(HASHES_OF_0_1_0[full]), len(HASHES_OF_0_1_0[severe])), strict=True
            )
        }
        assert all(after[name].signatures for name in ids)
        assert len(after[severe].signals) > len(after[whole].signals)
        # If this version or the old one contributes the picture again, it is known.
        words = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z", "--severity", "2")
        (again,) = member.json("contribute", folder / whole, *words)
        assert (again["known"], again["id"]) == (True, ids[whole])
        assert contribute(client, whole, HASHES_OF_0_1_0[whole][:3]).id == ids[whole]
    again = member("rehash", folder, "--state", state)
    assert f"hashdb: 4 files skipped: already in {state}\n" in again.stderr
    assert f"{folder / 'film.mp4'}: left out: nothing can be added to a video or a document\n" in again.stderr
    assert member("rehash", folder).stderr.count("3 up to date") == 1


def test_a_contribution_under_review_is_reported_and_others_are_rehashed(
    member: Commands, home: Path, tmp_path: Path
) -> None:
    names = [photo.name for photo in PHOTOS[:2]]
    with client_of(member) as client:
        under_review, fine = (contribute(client, name, HASHES_OF_0_1_0[name][:3]) for name in names)
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        cases.open_case(db, COMMAND_LINE, under_review.id, "other", holds=False)
        # A part of the other picture is near a benign entry that was added since.
        part = next(signal for signal in HASHES_OF_0_1_0[names[1]][3:] if signal.algorithm is Algorithm.PHASH256)
        entry = benign.add(db, COMMAND_LINE, BenignDraft((part,), note="a part"))
        result = member("rehash", *PHOTOS[:2])
        assert (result.returncode, result.stderr.splitlines()[0]) == (1, "hashdb: 1 added to")
        assert f"contribution {under_review.id} is under review" in result.stderr
        signals = client.contribution(fine.id).signals
        assert len(signals) > 3 and part not in signals
        benign.delete(db, COMMAND_LINE, entry.id)
        db.close()


def test_a_fault_that_names_no_signal_of_the_request_ends_the_repetition(
    member: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "picture.jpg"
    shutil.copy(PHOTOS[7], picture)
    with client_of(member) as client:
        id = contribute(client, picture.name, hash_picture(PHOTOS[7].read_bytes(), (Algorithm.PDQ,)).signals).id
    requests: list[Sequence[Addition]] = []

    def refuse(self: Client, additions: Sequence[Addition]) -> Receipt:
        requests.append(additions)
        raise InvalidInput((Fault("contributions[0].signals[99]", CLOSE_TO_BENIGN),))

    monkeypatch.setattr(Client, "add_signals", refuse)
    (result,) = member.json("rehash", picture, status=1)
    assert result["contributions"] == [{"id": id, "error": f"signals: {CLOSE_TO_BENIGN}"}]
    assert len(requests) == 1
