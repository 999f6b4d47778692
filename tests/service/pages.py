"""An upstream whose feed is one fixed page."""

from __future__ import annotations

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.ledger.checkpoints import Log, LogKey
from hashdb.domain.ledger.notes import Signer
from hashdb.domain.review.cases import Opinion, OpinionDraft
from hashdb.domain.sharing.upstreams import Upstream, UpstreamChange, UpstreamDraft, UpstreamPage
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints
from hashdb.service.sharing import upstreams
from tests.builders import NOON, draft

UPSTREAM_PAGE = UpstreamPage((UpstreamChange(3, 7, draft(70), member=2),), 3, False, "epoch")
_LOG = Log("other.example/log", (LogKey(Signer.new("other.example/log").verifier, NOON, None),))


class PageRemote:
    """A remote with one contribution. It accepts no opinions."""

    def scopes(self) -> frozenset[Scope]:
        """The scopes of a platform's key."""
        return frozenset({Scope.FEED, Scope.MATCH})

    def log(self) -> Log:
        """The log, with one signing key."""
        return _LOG

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        """The fixed page, and no changes after it."""
        return UPSTREAM_PAGE if after < UPSTREAM_PAGE.checkpoint else UPSTREAM_PAGE._replace(changes=())

    def give_opinion(self, contribution: int, draft: OpinionDraft, *, idempotency_key: str | None = None) -> Opinion:
        """Reject every opinion: no contribution is known here."""
        raise NotFound(f"contribution {contribution}")

    def close(self) -> None:
        """Do nothing."""


def connect_to_page(url: str, key: str) -> PageRemote:
    """Connect to the fixed page, whatever the address and the key."""
    return PageRemote()


def follow_page(db: HashDB) -> Upstream:
    """Add the fixed page as an upstream of a service."""
    checkpoints.start(db)
    upstream = UpstreamDraft("https://other.example", "Other list", "hdb_secret")
    return upstreams.add(db, COMMAND_LINE, upstream, connect_to_page)
