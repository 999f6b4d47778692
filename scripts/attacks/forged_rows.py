"""An intruder forges rows in the database of a stopped service; verification must find them."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.times import to_microseconds
from hashdb.service.accounts import sessions, users
from hashdb.service.ledger import verification
from hashdb.service.ledger.verification import verify
from hashdb.store.tables import metadata
from scripts.attacks import Finding
from scripts.attacks._service import Target, item, service
from tests.builders import signal
from tests.service.forgeries import (
    ADDED,
    COLUMNS,
    LISTED,
    NOT_LISTED,
    SET_ONLY,
    findings,
    forgeries,
    read_rows,
    sample_rows,
)

SECONDS = 300
_PASSWORD = "correct horse battery staple"


def run() -> Iterator[Finding]:
    """Use a service, stop it, then forge a session and each column that docs/audit.md lists as found."""
    with service() as target:
        _use(target)
        target.replicas[0].stop()
        before = verify(target.db, COMMAND_LINE).findings
        yield Finding("nothing is forged", "no finding", f"{len(before)} findings", not before)
        yield from _columns(target)
        yield _session(target)


def _use(target: Target) -> None:
    scopes = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)
    alpha, beta = (target.client(target.key(target.member(name), *scopes)) for name in ("Alpha", "Beta"))
    body = {"contributions": [item(signal(seed)) for seed in range(3)]}
    alpha.post("/v1/contributions", json=body, headers={"Idempotency-Key": "first"}).raise_for_status()
    beta.post("/v1/contributions/1/opinions", json={"opinion": "disputes", "reason": "other"}).raise_for_status()
    beta.post("/v1/matches", json={"queries": [{"signals": [str(signal(1))]}]}).raise_for_status()
    users.add(target.db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), _PASSWORD)
    sessions.sign_in(target.db, "ada", _PASSWORD, "127.0.0.1")
    verification.start(target.db, COMMAND_LINE)
    while verification.latest(target.db, COMMAND_LINE, 1)[0].outcome is None:
        time.sleep(0.1)


def _columns(target: Target) -> Iterator[Finding]:
    engine = create_engine(_url(target))
    with engine.connect() as connection:
        stored = {table.name: read_rows(connection, table) for table in metadata.sorted_tables}
    tried, missed = defaultdict[str, int](int), defaultdict[str, list[str]](list)
    for table, name in COLUMNS:
        listed = LISTED.get(table.name, NOT_LISTED)
        for row in sample_rows(stored[table.name], name) if name in listed.found and stored[table.name] else ():
            for kind, forged in forgeries(table, name, row).items():
                if kind == SET_ONLY or name not in listed.set_only:
                    tried[table.name] += 1
                    if not findings(target.db, engine, table, None if name == ADDED else row, forged):
                        missed[table.name].append(name)
    engine.dispose()
    for name, count in tried.items():
        measured = f"{count - len(missed[name])} found"
        yield Finding(f"{count} forgeries of the table {name}", "all are found", measured, not missed[name])


def _url(target: Target) -> str:
    return f"sqlite:///{target.replicas[0].home / 'hashdb.sqlite'}"


def _session(target: Target) -> Finding:
    """Insert a session of the administrator with a secret of the attacker."""
    engine, now = create_engine(_url(target)), to_microseconds(target.db.now())
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sessions (user_id, digest, complete, created_at, seen_at)"
                " VALUES (1, :digest, TRUE, :now, :now)"
            ),
            {"digest": hashlib.sha256(b"the attacker's").digest(), "now": now},
        )
    engine.dispose()
    texts = [str(finding) for finding in verify(target.db, COMMAND_LINE).findings]
    return Finding("a session of the administrator", "it is found", texts[0] if texts else "nothing", bool(texts))
