"""What is erased is in no byte of SQLite's files; what an erasure does else is tried with the contributions."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.service.contributions import contributions
from hashdb.service.review import opinions
from tests.builders import Clock, contributed, draft, hashdb, member_with, signal


def test_what_is_erased_leaves_the_files_of_sqlite_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    db, elsewhere = hashdb(url, Clock()), hashdb(url, Clock())
    actor, other = member_with(db), member_with(db)
    made = contributed(db, actor, *[draft(seed, reference=f"reference-{seed:04}") for seed in range(40)])
    opinions.give(db, other, made[7].id, OpinionDraft(Stance.DISPUTES, "edsa_context", "a note on it"))
    secrets = [signal(7).to_bytes(), b"reference-0007", b"a note on it"]

    def held() -> list[bool]:
        octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
        return [secret in octets for secret in (*secrets, signal(8).to_bytes())]

    elsewhere.index.catch_up()
    assert held() == [True, True, True, True]
    contributions.erase(db, COMMAND_LINE, made[7].id, at_once=True)
    assert held() == [False, False, False, True]
    elsewhere.close()
    db.close()
