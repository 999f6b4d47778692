"""The state of the copy in a process: its age, its rules, and its replacement."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.signals import Algorithm
from hashdb.errors import CopyNotReady, CopyTooOld
from hashdb.sidecar import state as module
from tests.sidecar.conftest import MAX_AGE, Pair
from tests.web.callers import item


def test_the_age_of_the_copy_counts_from_the_last_sync_and_is_never_negative(pair: Pair) -> None:
    with pytest.raises(CopyNotReady):
        pair.state.copy_age()
    pair.sync()
    pair.service.clock.advance(seconds=MAX_AGE)
    assert (pair.state.copy_age(), pair.state.require_ready().seq) == (MAX_AGE, pair.state.copy_state().seq)
    pair.service.clock.advance(seconds=1)
    with pytest.raises(CopyTooOld) as caught:
        pair.state.require_ready()
    assert str(caught.value) == "the local copy was last up to date 301 s ago: the limit is 300 s"
    pair.service.clock.advance(hours=-1)
    assert pair.state.copy_age() == 0


def test_a_process_sees_a_sync_within_a_second_without_a_restart(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.sync()
    before = pair.state.copy_state()
    pair.member.contribute(item(1))
    pair.state.index.sync(pair.client)
    assert pair.state.copy_state() is before
    monkeypatch.setattr(module, "CACHE_SECONDS", 0.0)
    assert pair.state.copy_state().seq > before.seq
    assert pair.state.validation_context().rules == before.rules


def test_a_changed_rule_takes_effect_without_a_restart(pair: Pair) -> None:
    pair.sync()
    query = {"queries": [{"signals": [str(TEST_SIGNALS[3])]}]}
    assert pair.ask("POST", "/v1/matches", json=query).status_code == 422
    me = pair.client.me()
    algorithms = {**me.algorithms, Algorithm.DHASH: me.algorithms[Algorithm.PHASH]}
    pair.state.index.opened().tables.store_rules(me.model_copy(update={"algorithms": algorithms}))
    pair.state._cached = None
    answer = pair.ask("POST", "/v1/matches", json=query)
    assert json.loads(answer.data)["results"][0]["matches"][0]["contribution"] == TEST_ID
