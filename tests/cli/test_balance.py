"""Balance: it spreads the connections over the workers of a server."""

from __future__ import annotations

from types import SimpleNamespace

from hashdb.cli.balance import Balance


def _worker(balance: Balance, connections: int) -> SimpleNamespace:
    """A worker with this number of open connections."""
    worker = SimpleNamespace()
    balance.assign(worker)
    balance.count(worker.place, connections)
    return worker


def test_a_worker_is_ahead_while_another_has_two_connections_fewer() -> None:
    balance = Balance(2)
    _worker(balance, 3)
    assert balance.is_ahead(5)
    assert not balance.is_ahead(4)
    assert not balance.is_ahead(0)


def test_starting_stopping_and_ended_workers_are_not_counted() -> None:
    balance = Balance(2)
    balance.assign(SimpleNamespace())
    stopping, ended = _worker(balance, 1), _worker(balance, 1)
    assert balance.is_ahead(3)
    balance.leave(stopping.place)
    balance.release(ended)
    assert not balance.is_ahead(3)


def test_a_replacement_worker_starts_with_its_own_count() -> None:
    balance = Balance(1)
    first, second = _worker(balance, 9), _worker(balance, 0)
    balance.release(first)
    third = _worker(balance, 5)
    assert third.place == first.place != second.place
    balance.leave(second.place)
    assert balance.is_ahead(7)
    assert not balance.is_ahead(6)


def test_workers_beyond_the_number_of_places_are_not_counted() -> None:
    balance = Balance(1)
    _worker(balance, 3), _worker(balance, 3)
    third = _worker(balance, 0)
    assert third.place is None
    assert not balance.is_ahead(3)
