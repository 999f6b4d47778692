"""Services that follow each other's lists. Each has an address of its own and is called over WSGI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from hashdb.cli.remotes import HTTPRemote
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import UpstreamDraft
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.service.matching import matches
from hashdb.service.sharing import following, upstreams
from hashdb.settings import Settings
from hashdb.web import create_app
from tests import schemas
from tests.builders import RULES, USUAL, Clock, contributed, hashdb, member_with, query

RULES_THAT_FOLLOW = replace(RULES, egress=EgressPolicy(allows_http=True))


class Lists:
    """Services that share one clock."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.apps: dict[str, httpx.BaseTransport] = {}
        self.lists: list[List] = []

    def add(self, name: str, url: str | None = None) -> List:
        """Start a service at http://NAME."""
        home = self.folder / name
        home.mkdir()
        added = List(self, name, home, url or f"sqlite:///{home}/hashdb.sqlite")
        self.lists.append(added)
        self.apps[name] = httpx.WSGITransport(app=create_app(added.db, Settings(home=home)))
        return added


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


class List:
    """A service with one contributing member. It can follow other lists."""

    def __init__(self, lists: Lists, name: str, home: Path, url: str) -> None:
        schemas.make(url)
        self.lists, self.name = lists, name
        self.keys: list[str] = []
        signing = Signing(home / "signing.key", home / "checkpoints.txt", f"{name}.example/log")
        self.db: HashDB = hashdb(url, lists.clock, RULES_THAT_FOLLOW, signing=signing)
        checkpoints.start(self.db)
        self.member = member_with(self.db)

    def connect(self, url: str, key: str) -> HTTPRemote:
        """The remote by which this service calls another one."""
        app = self.lists.apps.get(url.removeprefix("http://"), httpx.MockTransport(_refuse))
        return HTTPRemote(url, key, self.db.rules, clock=self.lists.clock, transport=app)

    @property
    def log_name(self) -> str:
        """The name by which other services know its log."""
        return upstreams.log_name_of(checkpoints.log(self.db))

    def follow(self, other: List, *scopes: Scope, a_day: int | None = None) -> int:
        """Follow another list with a new key of these scopes; return the id of the upstream."""
        key, url = self.key_at(other, *scopes), f"http://{other.name}"
        self.keys.append(key)
        upstream = UpstreamDraft(url, f"{other.name} list", key, a_day)
        return upstreams.add(self.db, COMMAND_LINE, upstream, self.connect).id

    def key_at(self, other: List, *scopes: Scope) -> str:
        """Add a member to the other service, and return the secret of its new key."""
        member = member_with(other.db).member
        assert member is not None
        return members.issue_key(other.db, COMMAND_LINE, member.id, KeyDraft(frozenset(scopes or USUAL))).secret

    def follow_upstreams(self) -> None:
        """Read from every upstream once, as a worker does every few seconds."""
        self.lists.clock.advance(seconds=6)
        following.look(self.db, self.connect)

    def contribute(self, *drafts: Draft) -> tuple[Contribution, ...]:
        """Contribute as the member of this service."""
        return contributed(self.db, self.member, *drafts)

    def matched_origins(self, *signals: int) -> tuple[Origin | None, ...]:
        """The origins of the contributions that one query of these signals matches, in the order of their ids."""
        (result,) = matches.match(self.db, self.member, [query(*signals)]).results
        return tuple(match.origin for match in sorted(result.matches))

    def member_count(self, *signals: int) -> int:
        """The number of members that the result of the same query counts."""
        (result,) = matches.match(self.db, self.member, [query(*signals)]).results
        return result.members

    def get(self, id: int) -> Contribution:
        """A contribution as an auditor sees it."""
        return contributions.get(self.db, COMMAND_LINE, id)


@contextmanager
def lists_in(folder: Path, clock: Clock, *names: str) -> Iterator[list[List]]:
    """Start services of these names on SQLite, and close them at the end."""
    lists = Lists(folder, clock)
    services = [lists.add(name) for name in names]
    yield services
    for service in services:
        service.db.close()
