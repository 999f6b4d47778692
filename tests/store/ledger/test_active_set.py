"""The tree over the active set in SQL: blocks, leaves from the events, and signatures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.active_set import EMPTY_BLOCK, EMPTY_HASH, leaf
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.store import Store
from hashdb.store.ledger.active_set import SetState
from tests.builders import NOON

BLOCK, OTHER_BLOCK = b"\x01" * len(EMPTY_BLOCK), b"\x02" * len(EMPTY_BLOCK)


def test_advance_replaces_only_the_current_state(store: Store) -> None:
    first, second = SetState(3, b"1" * 32, 1), SetState(5, b"2" * 32, 4)
    with store.begin() as tx:
        assert tx.active_set.state() == SetState(0, EMPTY_HASH, 0)
        assert tx.active_set.advance(SetState(), first)
        assert not tx.active_set.advance(SetState(), second)
        assert tx.active_set.advance(first, second)
        assert not tx.active_set.advance(first, SetState(9))
    with store.read() as tx:
        assert tx.active_set.state() == second


def test_put_replaces_blocks_and_deletes_empty_ones(store: Store) -> None:
    with store.begin() as tx:
        tx.active_set.put({(0, 7): BLOCK, (0, 2**31): BLOCK, (1, 7): OTHER_BLOCK})
        tx.active_set.put({(0, 7): OTHER_BLOCK, (1, 7): EMPTY_BLOCK})
    with store.read() as tx:
        assert tx.active_set.blocks([(0, 7), (0, 8), (1, 7), (0, 2**31)]) == {(0, 7): OTHER_BLOCK, (0, 2**31): BLOCK}
        assert tx.active_set.block(1, 7) == EMPTY_BLOCK
        assert list(tx.active_set.every_block()) == [((0, 7), OTHER_BLOCK), ((0, 2**31), BLOCK)]


def test_leaves_are_returned_as_of_an_event(store: Store) -> None:
    def entry(action: Action, id: int, **details: str) -> LogEntry:
        logged: Details = details
        return LogEntry(action, "contribution", id, logged)

    commitment = "ab" * 32
    with store.begin() as tx:
        tx.audit.append(
            NOON,
            SYSTEM,
            [
                entry(Action.CONTRIBUTION_ADDED, 1, commitment="01" * 32),
                entry(Action.CONTRIBUTION_ADDED, 2),
                entry(Action.CONTRIBUTION_DISPUTED, 2),
                LogEntry(Action.OPINION_GIVEN, "opinion", 1, {}),
                entry(Action.CONTRIBUTION_AMENDED, 1, commitment=commitment),
                entry(Action.CONTRIBUTION_QUARANTINED, 2),
                entry(Action.CONTRIBUTION_COMMITTED, 2, commitment=commitment),
                entry(Action.CONTRIBUTION_CLEARED, 2),
            ],
        )
    first, last = leaf(1, "unreviewed", b"\x01" * 32), leaf(1, "unreviewed", b"\xab" * 32)
    with store.read() as tx:
        assert list(tx.active_set.leaves([2, 1, 9], 3)) == [(1, first), (2, leaf(2, "disputed", None))]
        assert list(tx.active_set.leaves([1, 2], 6)) == [(1, last), (2, EMPTY_HASH)]
        assert list(tx.active_set.every_leaf(8)) == [(1, last), (2, leaf(2, "unreviewed", b"\xab" * 32))]
        assert list(tx.active_set.leaves([2], 1)) == []


def test_many_leaves_are_returned_in_order(store: Store) -> None:
    with store.begin() as tx:
        added = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, {}) for id in range(1_200, 0, -1)]
        tx.audit.append(NOON, SYSTEM, added)
    with store.read() as tx:
        assert [id for id, _ in tx.active_set.leaves(range(1, 1_201), 2_000)] == list(range(1, 1_201))


@pytest.mark.parametrize("again", [False, True])
def test_an_organisation_has_only_its_last_signature_of_a_root(store: Store, again: bool) -> None:
    with store.begin() as tx:
        tx.active_set.sign(5, "b", "line of b\n", NOON)
        tx.active_set.sign(5, "a", "line of a\n", NOON)
        tx.active_set.sign(9, "a", "later\n", NOON)
        if again:
            tx.active_set.sign(5, "b", "new line of b\n", NOON)
    with store.read() as tx:
        assert tx.active_set.signatures(5) == ("line of a\n", "new line of b\n" if again else "line of b\n")
        assert tx.active_set.signatures(6) == ()
        assert list(tx.active_set.signers(10).items()) == [(9, {"a"}), (5, {"a", "b"})]
        assert list(tx.active_set.signers(1)) == [9]


def test_two_processes_can_store_the_signature_of_one_organisation(store: Store) -> None:
    """This happens if a client repeats a request because the answer is late."""

    def sign(line: str) -> None:
        with store.begin() as tx:
            tx.active_set.sign(7, "one+00000000", line, NOON)

    with ThreadPoolExecutor(1) as pool:
        with store.begin() as tx:
            tx.active_set.sign(7, "one+00000000", "first", NOON)
            later = pool.submit(sign, "second")
            with pytest.raises(TimeoutError):
                later.result(0.5)
        later.result(20)
    with store.read() as tx:
        assert tx.active_set.signatures(7) == ("second",)
