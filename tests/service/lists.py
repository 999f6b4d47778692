"""Services that follow each other's lists: each is the application over WSGI, at an address of its own."""

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

RULES_THAT_FOLLOW = replace(RULES, egress=EgressPolicy(plain=True))


class Lists:
    """Some services with one clock."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.apps: dict[str, httpx.BaseTransport] = {}
        self.lists: list[List] = []

    def add(self, name: str, url: str | None = None) -> List:
        """A service at http://NAME."""
        home = self.folder / name
        home.mkdir()
        made = List(self, name, home, url or f"sqlite:///{home}/hashdb.sqlite")
        self.lists.append(made)
        self.apps[name] = httpx.WSGITransport(app=create_app(made.db, Settings(home=home)))
        return made


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody is there")


class List:
    """A service with a member that contributes, and what it follows."""

    def __init__(self, lists: Lists, name: str, home: Path, url: str) -> None:
        schemas.make(url)
        self.lists, self.name = lists, name
        self.keys: list[str] = []
        signing = Signing(home / "signing.key", home / "checkpoints.txt", f"{name}.example/log")
        self.db: HashDB = hashdb(url, lists.clock, RULES_THAT_FOLLOW, signing=signing)
        checkpoints.start(self.db)
        self.member = member_with(self.db)

    def connect(self, url: str, key: str) -> HTTPRemote:
        """What it asks another service through."""
        app = self.lists.apps.get(url.removeprefix("http://"), httpx.MockTransport(_refuse))
        return HTTPRemote(url, key, self.db.rules, clock=self.lists.clock, transport=app)

    @property
    def log(self) -> str:
        """What names its log to others."""
        return upstreams.name_of(checkpoints.log(self.db))

    def follow(self, other: List, *scopes: Scope, a_day: int | None = None) -> int:
        """Follow another list by a new key there (with these scopes); return the id of the upstream."""
        key, url = self.key_at(other, *scopes), f"http://{other.name}"
        self.keys.append(key)
        wanted = UpstreamDraft(url, f"{other.name} list", key, a_day)
        return upstreams.add(self.db, COMMAND_LINE, wanted, self.connect).id

    def key_at(self, other: List, *scopes: Scope) -> str:
        """The secret of a key of a new member there."""
        guest = member_with(other.db).member
        assert guest is not None
        return members.issue_key(other.db, COMMAND_LINE, guest.id, KeyDraft(frozenset(scopes or USUAL))).secret

    def look(self) -> None:
        """Follow what there is to follow, as a worker does every few seconds."""
        self.lists.clock.go(seconds=6)
        following.look(self.db, self.connect)

    def contribute(self, *drafts: Draft) -> tuple[Contribution, ...]:
        """Contribute as its own member."""
        return contributed(self.db, self.member, *drafts)

    def found(self, *signals: int) -> tuple[Origin | None, ...]:
        """The origins of what one query of these signals matches, in order of the ids."""
        (result,) = matches.match(self.db, self.member, [query(*signals)]).results
        return tuple(match.origin for match in sorted(result.matches))

    def counted(self, *signals: int) -> int:
        """How many members the same query counts."""
        (result,) = matches.match(self.db, self.member, [query(*signals)]).results
        return result.members

    def one(self, id: int) -> Contribution:
        """A contribution as an auditor sees it."""
        return contributions.get(self.db, COMMAND_LINE, id)


@contextmanager
def lists_in(folder: Path, clock: Clock, *names: str) -> Iterator[list[List]]:
    """Services of these names, on SQLite."""
    lists = Lists(folder, clock)
    made = [lists.add(name) for name in names]
    yield made
    for each in made:
        each.db.close()
