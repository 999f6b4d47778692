"""hashdb rehash: what an older version contributed gets the hashes of this one, and stays the same contribution."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import open_hashdb
from hashdb.service.matching import benign
from hashdb.service.review import cases
from hashdb.settings import Settings
from tests.cli.conftest import PHOTOS, Commands
from tests.films import film

HASHES = Path(__file__).parents[2] / "data" / "hashes_of_0_1_0.json"
"""What `hashdb contribute` of version 0.1.0 sent for the first photographs."""
OLD = {name: tuple(map(Signal.parse, signals)) for name, signals in json.loads(HASHES.read_text()).items()}


def client_of(member: Commands) -> Client:
    return Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"])


def contributed(client: Client, name: str, signals: tuple[Signal, ...], severity: int = 2) -> Contribution:
    draft = Draft(signals, ("glorification",), datetime(2026, 11, 20, tzinfo=UTC), 100, severity=severity)
    return client.contribute([draft]).recorded[0].contribution


def test_what_version_0_1_0_contributed_gets_the_hashes_of_this_one(member: Commands, tmp_path: Path) -> None:
    folder, state = tmp_path / "removed", tmp_path / "state.jsonl"
    folder.mkdir()
    for photo in PHOTOS[:4]:
        shutil.copy(photo, folder)
    (folder / "film.mp4").write_bytes(film())
    (folder / "broken.jpg").write_bytes(b"\0no picture")
    (whole, all_of_it, severe), other = [PHOTOS[i].name for i in range(3)], PHOTOS[3].name
    with client_of(member) as client:
        # Three hashes of the whole picture; all that it sent; and all for a severity whose profile has more by now.
        ids = {
            whole: contributed(client, whole, OLD[whole][:3]).id,
            all_of_it: contributed(client, all_of_it, OLD[all_of_it]).id,
            severe: contributed(client, severe, OLD[severe], severity=4).id,
        }
        tried = member.json("rehash", folder, "--dry-run", status=1)
        done = member.json("rehash", folder, "--state", state, status=1)
        assert done == tried
        after = {name: client.contribution(id) for name, id in ids.items()}
        added = {Path(one["path"]).name: one.get("contributions", "error") for one in done}
        assert added.pop("broken.jpg") == "error"
        assert added.pop(other) == []
        assert added == {
            name: [{"id": id, "added": len(after[name].signals) + len(after[name].signatures) - sent}]
            for (name, id), sent in zip(ids.items(), (3, len(OLD[all_of_it]), len(OLD[severe])), strict=True)
        }
        assert all(after[name].signatures for name in ids)
        assert len(after[severe].signals) > len(after[whole].signals)
        # Contributed again, by this version or by the old one, it is known.
        words = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z", "--severity", "2")
        (again,) = member.json("contribute", folder / whole, *words)
        assert (again["known"], again["id"]) == (True, ids[whole])
        assert contributed(client, whole, OLD[whole][:3]).id == ids[whole]
    again = member("rehash", folder, "--state", state)
    assert f"hashdb: 4 files skipped: already in {state}\n" in again.stderr
    assert f"{folder / 'film.mp4'}: left out: nothing can be added to a video or a document\n" in again.stderr
    assert member("rehash", folder).stderr.count("3 up to date") == 1


def test_a_contribution_that_takes_nothing_is_named_and_the_others_get_theirs(
    member: Commands, home: Path, tmp_path: Path
) -> None:
    names = [photo.name for photo in PHOTOS[:2]]
    with client_of(member) as client:
        doubted, fine = (contributed(client, name, OLD[name][:3]) for name in names)
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        cases.open_case(db, COMMAND_LINE, doubted.id, "other", holds=False)
        # A part of the other picture is near a benign one by now.
        part = next(signal for signal in OLD[names[1]][3:] if signal.algorithm is Algorithm.PHASH256)
        entry = benign.add(db, COMMAND_LINE, BenignDraft((part,), note="a part"))
        said = member("rehash", *PHOTOS[:2])
        assert (said.returncode, said.stderr.splitlines()[0]) == (1, "hashdb: 1 added to")
        assert f"contribution {doubted.id} is under review" in said.stderr
        signals = client.contribution(fine.id).signals
        assert len(signals) > 3 and part not in signals
        benign.delete(db, COMMAND_LINE, entry.id)
        db.close()
