"""hashdb audit check --signals, and the policy of sync and match, which lists organisations, against a real service."""

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
from hashdb.local.syncing import COPY_FILE, CURRENT
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import draft
from tests.cli.conftest import PHOTOS, Commands
from tests.serving import serving

_TIMEOUT = 15.0
"""How long to wait for the first root: the background task runs every five seconds."""


@dataclass
class Member:
    """A member of a service, and an organisation that signs the roots of the service."""

    run: Commands
    client: Client
    organisation: Cosigner
    policy: Path
    folder: Path

    def sign(self) -> None:
        """Wait for a root of the active set, and sign it."""
        deadline = time.monotonic() + _TIMEOUT
        while True:
            try:
                latest = self.client.set_root()
                break
            except NotFound:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        root = SetRoot(self.client.log().origin, latest.seq, latest.root)
        self.client.sign_set(self.organisation.cosign(root.body, int(time.time())))

    def write(self, statement: str) -> None:
        """Change the local copy with an SQL statement."""
        with closing(sqlite3.connect(self.folder / CURRENT / COPY_FILE)) as connection, connection:
            connection.execute(statement)


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[Member]:
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


def test_a_member_checks_its_copy_and_requires_signatures(alpha: Member, tmp_path: Path) -> None:
    run = alpha.run
    check = ("audit", "check", "--checkpoint", tmp_path / "kept.txt", "--save", "--signals")
    result = run(*check)
    assert (result.returncode, "there is no local copy" in result.stderr) == (1, True)
    alpha.client.contribute([draft(1), draft(2), draft(3)])
    assert run.json("sync")["contributions"] == 3
    check_result = run.json(*check)["signals"]
    assert (check_result["verified"], check_result["findings"], check_result["contributions"]) == (True, [], 3)
    assert (check_result["without_commitment"], check_result["changed"], check_result["unproven"]) == (0, 0, 0)
    result = run(*check)
    assert "\nthe local copy matches the log: 3 contributions (event " in result.stdout
    local = ("match", "--local", PHOTOS[2])
    policy = ("--policy", alpha.policy)
    assert run(*local).returncode == 0
    result = run(*local, *policy)
    assert result.returncode == 1
    assert result.stderr.startswith(
        "hashdb: the local copy may not be used with this policy: the root of the copy matches none"
    )
    assert run.json("local", "status")["approved"] is None
    alpha.sign()
    assert run("sync", *policy).returncode == 0
    assert run.json("local", "status")["approved"]["covers"] == alpha.client.set_root().covers
    assert "; organisations signed it up to event " in run("local", "status").stdout
    assert run(*local, *policy).returncode == 0
    assert run(*local, HASHDB_QUORUM=str(alpha.policy)).returncode == 0
    alpha.write("UPDATE signals SET value = zeroblob(32) WHERE contribution = 2")
    alpha.write("DELETE FROM contributions WHERE id = 3")
    result = run(*check)
    assert result.returncode == 1
    assert "contribution 2: its hashes in the copy do not match the commitment in the log\n" in result.stdout
    assert "contribution 3: the active set of the log has it, but the copy does not (event " in result.stdout
    assert result.stderr == (
        "hashdb: the local copy does not match the log: report it to the operator and the other members\n"
    )
    assert [finding["contribution"] for finding in run.json(*check, status=1)["signals"]["findings"]] == [2, 3]


def test_policy_needs_local_and_a_valid_policy_file(run: Commands, tmp_path: Path) -> None:
    result = run("match", "--policy", tmp_path / "quorum.txt", PHOTOS[0])
    assert (result.returncode, "--policy needs --local" in result.stderr) == (2, True)
    (tmp_path / "quorum.txt").write_text("witness\n")
    settings = {"HASHDB_URL": "http://127.0.0.1:9", "HASHDB_KEY": "none"}
    for words in (("sync",), ("match", "--local", PHOTOS[0]), ("local", "serve")):
        result = run(*words, "--policy", tmp_path / "quorum.txt", **settings)
        assert result.returncode in (1, 2)
        assert "--policy: " in result.stderr and "line 1 of the policy: it must be `witness NAME VKEY`" in result.stderr
