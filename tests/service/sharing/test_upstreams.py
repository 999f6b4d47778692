"""An upstream cannot crowd out other contributions or other upstreams, and can be removed during a sync."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import UpstreamChange, UpstreamPage
from hashdb.service import HashDB
from hashdb.service.matching import matches
from hashdb.service.sharing import following, upstreams
from tests.builders import Clock, contributed, draft, query
from tests.service.pages import PageRemote, follow_page


def test_claimed_members_of_an_upstream_share_its_place_in_an_answer(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [UpstreamChange(n, n, draft(1), Origin("x+1", n, n)) for n in range(1, 5)]
    following.apply(db, follow_page(db), UpstreamPage(tuple(claims), 4, False, "epoch"))
    (own,) = contributed(db, actor, draft(1))
    monkeypatch.setattr("hashdb.domain.matching.selections.MATCHES_A_QUERY", 2)
    (result,) = matches.match(db, actor, [query(1)]).results
    assert [match.contribution for match in result.matches] == [1, own.id]
    assert result.members == 5


class EndlessRemote(PageRemote):
    """An upstream that always has more, and changes its epoch after `pages_an_epoch` pages."""

    def __init__(self, pages_an_epoch: int) -> None:
        self.page_count, self.pages_an_epoch = 0, pages_an_epoch

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        self.page_count += 1
        return UpstreamPage((), after + 1, True, f"epoch {self.page_count // self.pages_an_epoch}")


@pytest.mark.parametrize("pages_an_epoch", [2, 1_000])
def test_an_endless_upstream_is_read_for_a_limited_number_of_pages(
    db: HashDB, clock: Clock, pages_an_epoch: int
) -> None:
    follow_page(db)
    endless = EndlessRemote(pages_an_epoch)
    for sync_count in (1, 2):
        following.look(db, lambda url, key: endless)
        (upstream,) = upstreams.list_all(db, COMMAND_LINE)
        assert (upstream.state, upstream.caught_up_at, endless.page_count) == ("reading", None, 50 * sync_count)


def test_removing_an_upstream_during_a_sync_ends_the_sync(db: HashDB) -> None:
    id = follow_page(db).id

    def connect(url: str, key: str) -> PageRemote:
        assert upstreams.remove(db, COMMAND_LINE, id) == (0, False)
        return PageRemote()

    assert following.look(db, connect) == 1
    assert upstreams.list_all(db, COMMAND_LINE) == ()
