"""A scene: one database, the services that answer from it, members at work, and what must be so in the end."""

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
from tests.faults.ledger import Group, Ledger, held_against
from tests.faults.services import Service
from tests.faults.traffic import client_of, contribute, traffic

_SCOPES = frozenset({Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, Scope.ADMIN})


class Scene:
    """Some services over one database (None: SQLite in the first one's home), which share the log's key."""

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
        # One key withdraws here more than a budget allows.
        usual = {"HASHDB_SIGNING_KEY_FILE": str(folder / "signing.key"), "HASHDB_BUDGETS": "changes=1000000"}
        said = usual | dict(settings or {})
        if database:
            said["HASHDB_DATABASE_URL"] = database
        folder.mkdir(parents=True, exist_ok=True)
        self.services = [
            Service(folder / f"home-{number}", said, workers=workers, log=folder / "services.log")
            for number in range(services)
        ]
        self._settings = said | {"HASHDB_HOME": str(self.services[0].home)}
        self.database = database or ""
        self.ledger = Ledger()
        self.key = ""

    @property
    def urls(self) -> list[str]:
        """Of all services."""
        return [one.url for one in self.services]

    def start(self) -> Self:
        """Make the schema and a member, and start all services."""
        settings = self._read()
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        schemas.make(settings.database)
        with closing(open_hashdb(settings.database, settings.rules())) as db:
            added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
            self.key = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(_SCOPES)).secret
        for one in self.services:
            one.start(ready=False)
        for one in self.services:
            one.await_ready()
        return self

    def fill(self, count: int) -> None:
        """Contribute so many, in requests of a thousand: from some thousands on, the index writes and merges files."""
        with client_of(self.urls[0], self.key) as client:
            for start in range(0, count, 1000):
                contribute(self.ledger, client, self.ledger.new(min(1000, count - start)))

    @contextmanager
    def busy(self, seed: int = 0, balanced: str = "") -> Iterator[None]:
        """Members at work for the length of a block, with all services, or by way of a balancer."""
        with traffic(self.ledger, [balanced] if balanced else self.urls, self.key, seed=seed):
            yield

    def check(self) -> None:
        """Hold everything that was answered against what is there, and verify the log."""
        for one in self.services:
            one.await_ready()
        with ExitStack() as stack:
            clients = [stack.enter_context(client_of(url, self.key)) for url in self.urls]
            lost = held_against(self.ledger, clients)
            self._take_another(clients[0])
        assert (lost, self.ledger.wrong) == (0, []), f"{lost} lost, {self.ledger.wrong[:5]}"
        findings = self.verified()
        assert findings == [], findings
        # The services write down every fault of theirs.
        said = self.services[0].log.read_text("utf-8", "replace")
        assert not re.search(r"unexpected \w+ at|background task .* failed", said), said[-4000:]

    def verified(self) -> list[str]:
        """What does not hold of the log; what `hashdb audit verify` says."""
        settings = self._read()
        with closing(open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))) as db:
            return [str(finding) for finding in verify(db, COMMAND_LINE).findings]

    def _read(self) -> Settings:
        return Settings.model_validate(
            {name.removeprefix("HASHDB_").lower(): value for name, value in self._settings.items()}
        )

    def _take_another(self, client: httpx.Client) -> None:
        """See that it is taken, now that all is well again."""
        group: Group = self.ledger.new(1)
        contribute(self.ledger, client, group)
        assert group.ids

    def __enter__(self) -> Self:
        """Use it in a `with`, at whose end the services are stopped."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop every service; after an error, kill them."""
        for one in self.services:
            one.stop() if kind is None else one.kill()
