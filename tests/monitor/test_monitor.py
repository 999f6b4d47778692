"""The monitor: an honest service raises no alarm, and a service that does not answer causes an error instead."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus
from hashdb.domain.contributions import Addition, Amendment
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.signals import Algorithm
from hashdb.errors import BadSetting, HashDBError, ServiceError
from hashdb.monitor.alarms import Alarm
from hashdb.monitor.monitor import MONITOR_FILE
from hashdb.service.accounts import members
from hashdb.service.contributions import additions, contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign
from hashdb.service.review import cases, opinions
from tests.builders import document, draft, member_with, signal, signature, video, words
from tests.monitor.conftest import Forge, World, kinds
from tests.service.tamperer import Tamperer

NO_ALARMS: tuple[list[Alarm], int] = ([], 120)


def test_an_honest_service_raises_no_alarm(world: World) -> None:
    monitor = world.monitor()
    assert monitor.check(whole=True) == []
    first, second, third = world.contribute(draft(1), draft(2), video(1, 2, 3))
    assert world.watch(monitor) == NO_ALARMS
    contributions.withdraw(world.db, world.actor, first.id, "other")
    contributions.erase(world.db, world.actor, second.id)
    contributions.amend(world.db, world.actor, third.id, Amendment(severity=1))
    assert world.watch(monitor) == NO_ALARMS
    assert monitor.is_settled
    state = monitor.state
    assert (state.size, state.count, state.uncommitted) == (world.db.store.head().seq, 1, 0)
    assert state.clean_round_began is not None


def test_suppressed_added_and_expired_signals_raise_no_alarm(world: World) -> None:
    monitor = world.monitor()
    soon = world.clock() + timedelta(seconds=65)
    film = video(*(40, 40, 41, 41, 42, 42))
    world.contribute(draft(1), draft(2, 3, signatures=(signature(1),)), film, draft(4, expires_at=soon))
    world.contribute(document((5, 6), words(1, 300)))
    assert world.watch(monitor) == NO_ALARMS
    # These entries suppress all signals of the first contribution, one of the second, and a shot of the film.
    for seed in (1, 2, 41):
        benign.add(world.db, COMMAND_LINE, BenignDraft((signal(seed),)))
    additions.add(world.db, world.actor, [Addition(2, (signal(3), signal(9, Algorithm.PHASH256)))])
    assert world.watch(monitor) == NO_ALARMS
    assert world.watch(world.monitor("another")) == NO_ALARMS
    for entry in benign.page(world.db, COMMAND_LINE, 0, 9):
        benign.delete(world.db, COMMAND_LINE, entry.id)
    assert world.watch(monitor) == NO_ALARMS
    assert monitor.state.count == 4


def test_reviews_and_suspensions_raise_no_alarm(world: World) -> None:
    monitor = world.monitor()
    first, second, _ = world.contribute(draft(1), draft(2), draft(3))
    other = member_with(world.db)
    opinions.give(world.db, other, first.id, OpinionDraft(Stance.DISPUTES, "other"))
    opinions.give(world.db, other, second.id, OpinionDraft(Stance.CONFIRMS))
    assert world.watch(monitor) == NO_ALARMS
    (case,) = cases.page(world.db, COMMAND_LINE, None, 0, 9)
    cases.decide(world.db, COMMAND_LINE, case.id, Decision.RETIRE)
    assert world.watch(monitor) == NO_ALARMS
    assert monitor.state.count == 2
    for status in (MemberStatus.SUSPENDED, MemberStatus.ACTIVE):
        assert other.member is not None
        members.change(world.db, COMMAND_LINE, other.member.id, MemberChange(status=status))
        assert world.watch(monitor) == NO_ALARMS


def test_a_new_key_of_the_log_raises_no_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor) == NO_ALARMS
    checkpoints.rotate(world.db, COMMAND_LINE)
    assert world.watch(monitor) == NO_ALARMS


def test_a_signing_key_without_an_event_raises_an_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor) == NO_ALARMS
    checkpoints.rotate(world.db, COMMAND_LINE)
    world.tamper(lambda hand: hand.run("DELETE FROM signers WHERE id = 1"))
    log = world.client.log()
    policy = replace(world.witness.policy, logs=log.verifiers)
    assert world.watch(world.monitor("other", witnesses=policy))[0] == []
    world.tamper(lambda hand: hand.run("UPDATE signers SET name = 'another' WHERE id = 2"))
    assert kinds(world.monitor("third", witnesses=policy).check()) == ["unknown-key"]


def test_a_monitor_resumes_from_its_folder(world: World, tmp_path: Path) -> None:
    monitor = world.monitor()
    world.contribute(draft(1), draft(2))
    assert world.watch(monitor) == NO_ALARMS
    shutil.copytree(tmp_path / "monitor", tmp_path / "later")
    world.contribute(draft(3))
    world.advance(60)
    resumed = world.monitor("later")
    assert resumed.state.size > 0
    assert resumed.check() == []
    assert resumed.state.count == 3


def test_a_root_that_is_not_recorded_in_time_raises_an_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor) == NO_ALARMS
    world.tamper(lambda hand: hand.run("UPDATE set_states SET seq = 99999"))
    world.contribute(draft(2))
    alarms, seconds = world.watch(monitor)
    assert kinds(alarms) == ["set-late"]
    assert seconds <= 110


def test_a_change_that_is_undone_needs_no_root(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor) == NO_ALARMS
    (second,) = world.contribute(draft(2))
    contributions.withdraw(world.db, world.actor, second.id, "other")
    assert world.watch(monitor, 240) == ([], 240)


def test_a_service_may_catch_up_after_one_failure_but_not_after_each(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1, expires_at=world.clock() + timedelta(seconds=130)), draft(2))
    assert world.watch(monitor)[0] == []
    world.logs_changes = False
    world.advance(30)
    assert monitor.check() == []
    world.contribute(draft(3))
    # The expiry is not logged yet. The new contribution is in no root and in no cosigned checkpoint.
    assert monitor.check() == []

    def fail_for_a_while() -> None:
        world.transport.forge = lambda path, _: b"{}"
        for _ in range(10):
            world.clock.advance(seconds=10)
            with pytest.raises(ServiceError):
                monitor.check()
        world.transport.forge = None

    fail_for_a_while()
    assert monitor.check() == []
    fail_for_a_while()
    alarm_kinds = kinds(monitor.check())
    assert {"not-witnessed", "set-late", "contribution-altered contribution 1"} >= set(alarm_kinds) != set()


def test_a_wrong_root_that_was_corrected_is_reported_once(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1), draft(2))
    assert world.watch(monitor) == NO_ALARMS

    def leave_out(hand: Tamperer) -> None:
        statement = "UPDATE set_blocks SET hashes = CAST(zeroblob(64) || substr(hashes, 65) AS BLOB) WHERE level = 0"
        hand.run(statement)
        hand.run("UPDATE set_states SET count = count - 1")

    world.tamper(leave_out)
    world.contribute(draft(3))
    world.advance(60)
    contributions.amend(world.db, world.actor, 1, Amendment(severity=1))
    world.advance(60)
    assert kinds(monitor.check())[0].startswith("set-differs event ")
    assert world.watch(monitor) == NO_ALARMS


def test_a_missing_commitment_raises_an_alarm(world: World) -> None:
    world.contribute(draft(1))
    world.tamper(lambda hand: hand.run("UPDATE contributions SET salt = NULL, commitment = NULL"))
    assert kinds(world.monitor().check()) == ["feed-differs contribution 1"]


def test_an_alarm_is_not_lost_if_the_service_fails_meanwhile(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor) == NO_ALARMS
    world.transport.forge = lambda path, _: b"{}" if path == "/v1/contributions" else None
    world.advance(30)
    with pytest.raises(ServiceError):
        monitor.check()
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'retired'"))
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'unreviewed', commitment = zeroblob(32)"))
    contributions.amend(world.db, world.actor, 1, Amendment(severity=1))
    world.advance(30)
    assert "feed-differs contribution 1" in kinds(monitor.check())


PATHS = (
    "/v1/log",
    "/v1/checkpoint",
    "/v1/checkpoint/cosigned",
    "/v1/proofs/consistency",
    "/v1/events",
    "/v1/changes",
    "/v1/contributions",
    "/v1/contributions/2/frames",
    "/v1/set",
)


@pytest.mark.parametrize("path", PATHS)
def test_an_invalid_answer_is_an_error_of_the_service_or_an_alarm(world: World, path: str) -> None:
    monitor = world.monitor(organisations=Policy.parse("quorum none\n"))
    world.contribute(draft(1), video(1, 2))
    assert world.watch(monitor) == NO_ALARMS

    def forge(change: Callable[[bytes], bytes]) -> Forge:
        return lambda requested, content: change(content) if requested == path else None

    for change in (
        lambda _: b"",
        lambda _: b"{}",
        lambda _: b"[]",
        lambda _: b"null",
        lambda _: b'{"checkpoint": 1e999}\n',
        lambda content: content[: len(content) // 2],
        lambda content: re.sub(rb"\b[0-9]{1,2}\b", b"99999999999999999999999", content),
        lambda content: re.sub(rb"[0-9a-f]{64}", b"00" * 32, content),
        lambda content: content.replace(b"contribution", b"c").replace(b"active", b"unheard-of"),
        lambda content: re.sub(rb'"(epoch|origin|subject)": ?"', rb'"\1":"\\ud800', content),
        lambda content: re.sub(rb'"(at|duration)":[0-9.]+', rb'"\1":NaN', content),
        lambda content: re.sub(rb'"(at|duration)":[0-9.]+', rb'"\1":1e999', content),
    ):
        world.contribute(draft(world.db.store.head().seq + 100))
        world.advance(30)
        world.transport.forge = forge(change)
        try:
            alarms = monitor.check()
        except HashDBError:
            alarms = []
        assert all(isinstance(alarm, Alarm) for alarm in alarms)
        world.transport.forge = None


def test_a_feed_that_starts_over_is_read_again(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1), draft(2))
    assert world.watch(monitor) == NO_ALARMS
    world.tamper(lambda hand: hand.run("UPDATE log SET epoch = 'another'"))
    assert world.watch(monitor) == NO_ALARMS


def test_a_folder_with_an_invalid_database_is_rejected(world: World, tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / MONITOR_FILE).write_bytes(b"no database" * 100)
    with pytest.raises(BadSetting, match="move the folder away to begin again"):
        world.monitor()


def test_without_a_policy_no_witness_is_needed(world: World) -> None:
    world.witness.size += 1
    world.contribute(draft(1))
    assert world.watch(world.monitor(witnesses=None)) == NO_ALARMS
    no_quorum = Policy.parse("quorum none\n")
    with closing(world.monitor("other", witnesses=no_quorum)) as monitor:
        assert monitor.check() == []
    world.monitors.pop()
