"""hashdb views, and secret views in a member's commands: they are hashed on the member's machine."""

from __future__ import annotations

import re
from pathlib import Path

from hashdb.client import Client
from hashdb.domain.signals import Profile
from hashdb.hashing import hash_variants
from tests.builders import draft
from tests.cli.conftest import PHOTOS, Commands

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
UNREACHABLE = "http://127.0.0.1:9"
PHOTO = next(path for path in PHOTOS if path.stem == "waves-midnight")
"""A picture full of detail: no strip of it is plain, whatever the seed."""


def test_seeds_are_rotated_listed_and_retired_but_never_printed(run: Commands) -> None:
    assert run.json("views", "list") == {"seeds": []}
    printed = [run("views", "rotate").stdout for _ in range(2)]
    assert [line.split()[:2] for line in printed] == [["seed", "1"], ["seed", "2"]]
    assert run("views", "retire", "2").stderr.startswith("hashdb: seed: is the newest")
    assert run.json("views", "retire", "1")["retired_at"]
    assert run("views", "retire", "1").stderr == "hashdb: a seed in use with the id 1 does not exist\n"
    assert [seed["retired_at"] is None for seed in run.json("views", "list")["seeds"]] == [True, False]
    printed += [run("views", "list").stdout, run("views", "list", "--json").stdout]
    assert not re.search("[0-9a-f]{32}", "".join(printed))


def test_a_member_contributes_secret_views_and_matches_them_in_its_copy(member: Commands, tmp_path: Path) -> None:
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        me = client.me()
        known, stored = (
            hash_variants(PHOTO.read_bytes(), tuple(me.algorithms), Profile.BALANCED, seeds=seeds).signals
            for seeds in ((), me.seeds)
        )
        secret = [signal for signal in stored if signal not in known]
        (secret_only,) = client.contribute([draft(*secret)]).recorded
    (contributed,) = member.json("contribute", PHOTO, *METADATA)
    assert contributed["signals"] == list(map(str, stored))
    member.json("withdraw", str(contributed["id"]), "--reason", "other")
    member.json("sync")
    (result,) = member.json("match", PHOTO, "--transforms")
    # Other tests contribute this picture, too.
    (match,) = [match for match in result["matches"] if match["contribution"] == secret_only.contribution.id]
    assert match["transform"].startswith(f"secret-{me.seeds[0].id}-")
    assert member.json("match", PHOTO, "--transforms", "--local", HASHDB_URL=UNREACHABLE) == [result]
