"""Start a new service for an attack: on 127.0.0.1, with members and keys, or two replicas behind the deployed nginx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.signals import Signal
from hashdb.domain.times import format_instant
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.faults.services import Service
from tests.postgres import own_server
from tests.proxy import proxy


@dataclass(frozen=True, slots=True)
class Target:
    """A running service: its address, its replicas, and its database, for steps that need no request."""

    url: str
    replicas: tuple[Service, ...]
    db: HashDB

    def member(self, name: str) -> int:
        """Add a member; return its id."""
        return members.add(self.db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM)).id

    def key(self, member: int, *scopes: Scope, hides_distances: bool = False) -> str:
        """Add a key of a member; return its secret."""
        draft = KeyDraft(frozenset(scopes), hides_distances=hides_distances)
        return members.issue_key(self.db, COMMAND_LINE, member, draft).secret

    def client(self, secret: str) -> httpx.Client:
        """A client with a key, which never retries a request."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60)


def item(*signals: Signal, **fields: object) -> dict[str, object]:
    """A draft, as JSON, of a picture with these signals that was removed an hour ago."""
    removed = format_instant(datetime.now(UTC) - timedelta(hours=1))
    defaults = {"signals": list(map(str, signals)), "labels": ["glorification"], "removed_at": removed, "quality": 90}
    return defaults | fields


def contribute(client: httpx.Client, items: Sequence[Mapping[str, object]]) -> list[Any]:
    """Contribute items, 500 in a request; return the contributions of the responses."""
    contributions: list[Any] = []
    for start in range(0, len(items), 500):
        response = client.post("/v1/contributions", json={"contributions": items[start : start + 500]})
        contributions += response.raise_for_status().json()["contributions"]
    return contributions


@contextmanager
def service(*, workers: int = 2, **settings: str) -> Iterator[Target]:
    """Run `hashdb serve` with SQLite in a new home, with only these settings (`HASHDB_…`)."""
    with TemporaryDirectory(prefix="hashdb-attack-") as name, ExitStack() as stack:
        replica = Service(Path(name) / "home", settings, workers=workers)
        yield _started(stack, [replica], replica.url)


@contextmanager
def two_replicas(*, workers: int = 2, **settings: str) -> Iterator[Target]:
    """Run two replicas with one PostgreSQL, behind nginx with the file of deploy/. Raises PostgresMissing."""
    with TemporaryDirectory(prefix="hashdb-attack-") as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(own_server())
        common = {
            "HASHDB_DATABASE_URL": stack.enter_context(server.new_database()),
            "HASHDB_SIGNING_KEY_FILE": str(folder / "signing.key"),
            "HASHDB_PROXIES": "1",
            "HASHDB_BEHIND_TLS": "true",
        }
        replicas = [Service(folder / f"home-{number}", common | settings, workers=workers) for number in (1, 2)]
        upgraded = replicas[0].command("upgrade")
        assert upgraded.returncode == 0, upgraded
        target = _started(stack, replicas, "")
        nginx = stack.enter_context(proxy(folder, (replicas[0].port, replicas[1].port), short_timeouts=False))
        yield Target(str(nginx.plain), target.replicas, target.db)


def _started(stack: ExitStack, replicas: list[Service], url: str) -> Target:
    for replica in replicas:
        stack.enter_context(replica).start()
    values = {name.removeprefix("HASHDB_").lower(): value for name, value in replicas[0].environment.items()
             if name.startswith("HASHDB_")}  # fmt: skip
    settings = Settings.model_validate(values)
    db = stack.enter_context(closing(open_hashdb(settings.database, settings.rules())))
    return Target(url, tuple(replicas), db)
