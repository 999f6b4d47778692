"""hashdb audit check --signals, and the policy of organisations of sync and match, against a real service."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.cosignatures import Cosigner, SetRoot
from hashdb.errors import NotFound
from hashdb.local.syncing import CURRENT, FILE
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import draft
from tests.cli.conftest import PHOTOS, Commands
from tests.serving import serving

_SECONDS = 15.0
"""Within which the first root is there: a task looks every five seconds."""


@dataclass
class Member:
    """A member of a service whose roots an organisation signs."""

    run: Commands
    client: Client
    organisation: Cosigner
    policy: Path
    folder: Path

    def sign(self) -> None:
        """Sign the root of the active set, once there is one."""
        until = time.monotonic() + _SECONDS
        while True:
            try:
                committed = self.client.set_root()
                break
            except NotFound:
                assert time.monotonic() < until
                time.sleep(0.2)
        root = SetRoot(self.client.log().origin, committed.seq, committed.root)
        self.client.sign_set(self.organisation.cosign(root.body, int(time.time())))

    def write(self, statement: str) -> None:
        """Write in the copy."""
        with closing(sqlite3.connect(self.folder / CURRENT / FILE)) as connection, connection:
            connection.execute(statement)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Member]:
    organisation = Cosigner.new("north.example")
    policy = tmp_path / "quorum.txt"
    policy.write_text(f"witness north {organisation.key}\nquorum north\n")
    home = tmp_path / "home"
    with serving(home, workers=1, HASHDB_QUORUM=str(policy)) as url:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        secret = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope))).secret
        db.close()
        run = Commands({"HASHDB_HOME": str(tmp_path / "own"), "HASHDB_URL": url, "HASHDB_KEY": secret})
        with Client(url, secret) as client:
            yield Member(run, client, organisation, policy, tmp_path / "own" / "local")


def test_a_member_checks_its_copy_and_requires_signatures(own: Member, tmp_path: Path) -> None:
    run = own.run
    check = ("audit", "check", "--checkpoint", tmp_path / "kept.txt", "--save", "--signals")
    done = run(*check)
    assert (done.returncode, "there is no local copy" in done.stderr) == (1, True)
    own.client.contribute([draft(1), draft(2), draft(3)])
    assert run.json("sync")["contributions"] == 3
    result = run.json(*check)["signals"]
    assert (result["verified"], result["findings"], result["contributions"]) == (True, [], 3)
    assert (result["without_commitment"], result["changed"], result["unproven"]) == (0, 0, 0)
    done = run(*check)
    assert "\nthe local copy has what the log committed to: 3 contributions (event " in done.stdout
    local = ("match", "--local", PHOTOS[2])
    policy = ("--policy", own.policy)
    assert run(*local).returncode == 0
    done = run(*local, *policy)
    assert done.returncode == 1
    assert done.stderr.startswith("hashdb: the local copy may not be used with this policy: no root of the active set")
    assert run.json("local", "status")["approved"] is None
    own.sign()
    assert run("sync", *policy).returncode == 0
    assert run.json("local", "status")["approved"]["covers"] == own.client.set_root().covers
    assert "; organisations signed it up to event " in run("local", "status").stdout
    assert run(*local, *policy).returncode == 0
    assert run(*local, HASHDB_QUORUM=str(own.policy)).returncode == 0
    own.write("UPDATE signals SET value = zeroblob(32) WHERE contribution = 2")
    own.write("DELETE FROM contributions WHERE id = 3")
    done = run(*check)
    assert done.returncode == 1
    assert "contribution 2: its hashes in the copy are not those that the log has committed to\n" in done.stdout
    assert "contribution 3: the active set of the log has it, and the copy has it not (event " in done.stdout
    assert done.stderr == (
        "hashdb: the local copy is not what the log has: report it to the operator and the other members\n"
    )
    assert [each["contribution"] for each in run.json(*check, status=1)["signals"]["findings"]] == [2, 3]


def test_a_policy_is_for_the_copy_and_must_be_one(run: Commands, tmp_path: Path) -> None:
    done = run("match", "--policy", tmp_path / "quorum.txt", PHOTOS[0])
    assert (done.returncode, "--policy needs --local" in done.stderr) == (2, True)
    (tmp_path / "quorum.txt").write_text("witness\n")
    settings = {"HASHDB_URL": "http://127.0.0.1:9", "HASHDB_KEY": "none"}
    for words in (("sync",), ("match", "--local", PHOTOS[0]), ("local", "serve")):
        done = run(*words, "--policy", tmp_path / "quorum.txt", **settings)
        assert done.returncode in (1, 2)
        assert "--policy: " in done.stderr and "line 1 of the policy: it must be `witness NAME VKEY`" in done.stderr
