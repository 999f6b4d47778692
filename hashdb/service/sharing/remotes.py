"""Remotes: the services of upstreams, as this service asks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.checkpoints import Log
from hashdb.domain.review.cases import Opinion, OpinionDraft
from hashdb.domain.sharing.upstreams import UpstreamPage, UpstreamTrouble
from hashdb.errors import (
    BadSetting,
    Conflict,
    FeedRestarted,
    HashDBError,
    InvalidInput,
    LimitReached,
    MemberSuspended,
    NotAuthenticated,
    NotFound,
    OwnContribution,
    ScopeMissing,
    ServiceUnreachable,
    Unavailable,
)
from hashdb.service.sharing.safe_http import NotPermittedError, UnknownNameError

_Answer = TypeVar("_Answer")
_LONGEST_WAIT = 86_400
"""Seconds after which an upstream is asked again, also if it asks for a longer wait."""


class Remote(Protocol):
    """The service of an upstream, over HTTP. Every function raises the errors of the client."""

    def scopes(self) -> frozenset[Scope]:
        """What the key may be used for."""

    def log(self) -> Log:
        """The name and the keys of its log."""

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        """At most `limit` changes after an event. Raises FeedRestarted."""

    def give_opinion(self, contribution: int, draft: OpinionDraft, *, idempotency_key: str | None = None) -> Opinion:
        """Give an opinion as this service's member there."""

    def close(self) -> None:
        """Close the connections."""


Connect = Callable[[str, str], Remote]
"""Connects to an address with a key; connects only where the rules permit it."""


class CannotFollow(Exception):
    """An upstream cannot be followed now; `seconds` is how long it asks to wait, if it does."""

    def __init__(self, trouble: UpstreamTrouble, seconds: float | None = None) -> None:
        """`trouble` is why."""
        self.trouble, self.seconds = trouble, seconds
        super().__init__(trouble)


def ask(request: Callable[[], _Answer]) -> _Answer:
    """The answer to a request. Raises CannotFollow, and unchanged the errors that are about the request itself."""
    try:
        return request()
    except (FeedRestarted, NotFound, Conflict, InvalidInput, OwnContribution):
        raise
    except (NotPermittedError, BadSetting):
        raise CannotFollow(UpstreamTrouble.ADDRESS_REFUSED) from None
    except (UnknownNameError, ServiceUnreachable):
        raise CannotFollow(UpstreamTrouble.UNREACHABLE) from None
    except NotAuthenticated:
        raise CannotFollow(UpstreamTrouble.KEY_REFUSED) from None
    except MemberSuspended:
        raise CannotFollow(UpstreamTrouble.SUSPENDED) from None
    except ScopeMissing:
        raise CannotFollow(UpstreamTrouble.SCOPE_MISSING) from None
    except (Unavailable, LimitReached) as error:
        raise CannotFollow(UpstreamTrouble.BUSY, float(max(0, min(error.retry_after, _LONGEST_WAIT)))) from None
    except (HashDBError, ValueError):
        raise CannotFollow(UpstreamTrouble.NOT_HASHDB) from None


def ask_to_read(request: Callable[[], _Answer]) -> _Answer:
    """The answer to a request that only reads. Raises CannotFollow and FeedRestarted, and no other error."""
    try:
        return ask(request)
    except FeedRestarted:
        raise
    except HashDBError:
        raise CannotFollow(UpstreamTrouble.NOT_HASHDB) from None
