"""A service that is followed, as what it answers: one page."""

from __future__ import annotations

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.ledger.checkpoints import Log, LogKey, Signer
from hashdb.domain.review.cases import Opinion, OpinionDraft
from hashdb.domain.sharing.upstreams import Upstream, UpstreamChange, UpstreamDraft, UpstreamPage
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints
from hashdb.service.sharing import upstreams
from tests.builders import NOON, draft

PAGE_OF_ANOTHER = UpstreamPage((UpstreamChange(3, 7, draft(70), member=2),), 3, False, "epoch")
_LOG = Log("other.example/log", (LogKey(Signer.new("other.example/log").verifier, NOON, None),))


class PageRemote:
    """It has one contribution, and knows none that an opinion is about."""

    def scopes(self) -> frozenset[Scope]:
        """What a platform's key has."""
        return frozenset({Scope.FEED, Scope.MATCH})

    def log(self) -> Log:
        """A log that has signed with one key."""
        return _LOG

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        """The page, and nothing behind it."""
        return PAGE_OF_ANOTHER if after < PAGE_OF_ANOTHER.checkpoint else PAGE_OF_ANOTHER._replace(changes=())

    def give_opinion(self, contribution: int, draft: OpinionDraft, *, idempotency_key: str | None = None) -> Opinion:
        """Refuse it."""
        raise NotFound(f"contribution {contribution}")

    def close(self) -> None:
        """Close nothing."""


def connect_to_page(url: str, key: str) -> PageRemote:
    """The service, whatever its address."""
    return PageRemote()


def followed(db: HashDB) -> Upstream:
    """The upstream of a service that begins to follow the page."""
    checkpoints.start(db)
    wanted = UpstreamDraft("https://other.example", "Other list", "hdb_secret")
    return upstreams.add(db, COMMAND_LINE, wanted, connect_to_page)
