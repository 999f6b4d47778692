"""A scene: one database, its services, members at work, and the check that nothing was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import httpx

from hashdb.cli.home import configured_signing
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.ledger.verification import verify
from hashdb.settings import Settings
from tests import schemas
from tests.faults.ledger import Group, Ledger, count_lost
from tests.faults.services import Service
from tests.faults.traffic import client_of, contribute, traffic

_SCOPES = frozenset({Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, Scope.ADMIN})


class Scene:
    """Services over one database, which share the key of the log. Without a URL: SQLite in the home of the first."""

    def __init__(
        self,
        folder: Path,
        database: str | None = None,
        *,
        services: int = 1,
        workers: int = 2,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Starts nothing yet."""
        # Here one key withdraws more contributions than its budget allows by default.
        defaults = {"HASHDB_SIGNING_KEY_FILE": str(folder / "signing.key"), "HASHDB_BUDGETS": "changes=1000000"}
        all_settings = defaults | dict(settings or {})
        if database:
            all_settings["HASHDB_DATABASE_URL"] = database
        folder.mkdir(parents=True, exist_ok=True)
        self.services = [
            Service(folder / f"home-{number}", all_settings, workers=workers, log=folder / "services.log")
            for number in range(services)
        ]
        self._settings = all_settings | {"HASHDB_HOME": str(self.services[0].home)}
        self.database = database or ""
        self.ledger = Ledger()
        self.key = ""

    @property
    def urls(self) -> list[str]:
        """The addresses of all services."""
        return [service.url for service in self.services]

    def start(self) -> Self:
        """Create the schema, add a member, and start all services."""
        settings = self._read()
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        schemas.make(settings.database)
        with closing(open_hashdb(settings.database, settings.rules())) as db:
            added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
            self.key = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(_SCOPES)).secret
        for service in self.services:
            service.start(ready=False)
        for service in self.services:
            service.await_ready()
        return self

    def fill(self, count: int) -> None:
        """Add `count` contributions, a thousand a request. After a few thousand, the index writes and merges files."""
        with client_of(self.urls[0], self.key) as client:
            for start in range(0, count, 1000):
                contribute(self.ledger, client, self.ledger.new(min(1000, count - start)))

    @contextmanager
    def busy(self, seed: int = 0, balanced: str = "") -> Iterator[None]:
        """Members at work for the length of a block, with all services or through the load balancer `balanced`."""
        with traffic(self.ledger, [balanced] if balanced else self.urls, self.key, seed=seed):
            yield

    def check(self) -> None:
        """Compare the stored contributions with the answers, and verify the log."""
        for service in self.services:
            service.await_ready()
        with ExitStack() as stack:
            clients = [stack.enter_context(client_of(url, self.key)) for url in self.urls]
            lost = count_lost(self.ledger, clients)
            self._contribute_one(clients[0])
        assert (lost, self.ledger.errors) == (0, []), f"{lost} lost, {self.ledger.errors[:5]}"
        findings = self.verify_log()
        assert findings == [], findings
        # The services log every unexpected error.
        log = self.services[0].log.read_text("utf-8", "replace")
        assert not re.search(r"unexpected \w+ at|background task .* failed", log), log[-4000:]

    def verify_log(self) -> list[str]:
        """Verify the log, and return the findings that `hashdb audit verify` would print."""
        settings = self._read()
        with closing(open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))) as db:
            return [str(finding) for finding in verify(db, COMMAND_LINE).findings]

    def _read(self) -> Settings:
        return Settings.model_validate(
            {name.removeprefix("HASHDB_").lower(): value for name, value in self._settings.items()}
        )

    def _contribute_one(self, client: httpx.Client) -> None:
        """Check that the service accepts a contribution after the faults."""
        group: Group = self.ledger.new(1)
        contribute(self.ledger, client, group)
        assert group.ids

    def __enter__(self) -> Self:
        """Use the scene in a `with` statement, which stops the services at its end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop every service; after an error, kill them."""
        for service in self.services:
            service.stop() if kind is None else service.kill()
