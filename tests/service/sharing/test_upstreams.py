"""What an upstream sends or does not send: it takes no place and no turn of others, and it may be removed meanwhile."""

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


def test_claimed_members_take_no_place_of_others_in_an_answer(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [UpstreamChange(n, n, draft(1), Origin("x+1", n, n)) for n in range(1, 5)]
    following.apply(db, follow_page(db), UpstreamPage(tuple(claims), 4, False, "epoch"))
    (own,) = contributed(db, actor, draft(1))
    monkeypatch.setattr("hashdb.domain.matching.suggestions.MATCHES_A_QUERY", 2)
    (result,) = matches.match(db, actor, [query(1)]).results
    assert [match.contribution for match in result.matches] == [1, own.id]
    assert result.members == 5


class Endless(PageRemote):
    """It always has more, and begins again in another epoch now and then."""

    def __init__(self, lasting: int) -> None:
        self.asked, self.lasting = 0, lasting

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        self.asked += 1
        return UpstreamPage((), after + 1, True, f"epoch {self.asked // self.lasting}")


@pytest.mark.parametrize("lasting", [2, 1_000])
def test_a_list_without_an_end_leaves_others_their_turn(db: HashDB, clock: Clock, lasting: int) -> None:
    follow_page(db)
    endless = Endless(lasting)
    for looks in (1, 2):
        following.look(db, lambda url, key: endless)
        (upstream,) = upstreams.list_all(db, COMMAND_LINE)
        assert (upstream.state, upstream.caught_up_at, endless.asked) == ("reading", None, 50 * looks)


def test_a_list_that_is_removed_while_it_is_read_ends_the_look(db: HashDB) -> None:
    id = follow_page(db).id

    def connect(url: str, key: str) -> PageRemote:
        assert upstreams.remove(db, COMMAND_LINE, id) == (0, False)
        return PageRemote()

    assert following.look(db, connect) == 1
    assert upstreams.list_all(db, COMMAND_LINE) == ()
