"""Events: a leaf is SHA-256 of RFC 8785, and all readers of events derive the same state of a contribution."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import (
    ENDING_ACTIONS,
    REVERSING_ACTIONS,
    STANDING_AFTER,
    STANDING_EVENTS,
    STATUS_AFTER,
    STATUS_EVENTS,
    Action,
    ContributionState,
    Details,
    Event,
    LogEntry,
    canonical,
    leaf,
)
from hashdb.domain.ledger.records import FIELDS, ExpectedRecords
from hashdb.domain.sharing.exchanges import matched_after
from hashdb.domain.stats.overviews import deltas
from hashdb.domain.stats.replays import Replay
from hashdb.domain.times import Period, format_instant
from tests.builders import NOON

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**53) + 1, 2**53 - 1)
details = st.dictionaries(printable, any_text | numbers | st.none() | st.lists(any_text, max_size=4), max_size=6)


def test_the_leaf_equals_that_of_the_published_example() -> None:
    example = leaf(1, AT, "system:cli", "member.added", "member:1", "{}")
    assert example.hex() == "a5813f05a35694b72a6603709f8fe1e55d198434a284f92bef4c64f8a8634fa2"


@given(
    seq=st.integers(1, 2**53 - 1),
    at=st.datetimes(timezones=st.just(UTC)),
    actor=any_text,
    action=st.sampled_from(list(Action)),
    subject=any_text,
    details=details,
)
def test_the_leaf_is_the_sha_256_of_canonical_json(
    seq: int, at: datetime, actor: str, action: Action, subject: str, details: dict[str, str | int | list[str] | None]
) -> None:
    event = {
        "seq": seq,
        "at": format_instant(at),
        "actor": actor,
        "action": str(action),
        "subject": subject,
        "details": details,
    }
    expected = hashlib.sha256(b"\x00" + rfc8785.dumps(event)).digest()  # type: ignore[arg-type]
    assert leaf(seq, at, actor, action, subject, canonical(details)) == expected


def test_every_field_of_an_event_changes_its_leaf() -> None:
    plain = leaf(1, AT, "key:1", "key.issued", "key:2", '{"member":3}')
    others = [
        leaf(2, AT, "key:1", "key.issued", "key:2", '{"member":3}'),
        leaf(1, AT.replace(microsecond=1), "key:1", "key.issued", "key:2", '{"member":3}'),
        leaf(1, AT, "key:2", "key.issued", "key:2", '{"member":3}'),
        leaf(1, AT, "key:1", "key.revoked", "key:2", '{"member":3}'),
        leaf(1, AT, "key:1", "key.issued", "key:3", '{"member":3}'),
        leaf(1, AT, "key:1", "key.issued", "key:2", '{"member":4}'),
    ]
    assert len({plain, *others}) == 7


def test_the_name_of_an_action_matches_its_constant() -> None:
    for action in Action:
        assert action.replace("-", "_") == action.name.lower().replace("_", ".", 1)


def test_the_feed_has_only_events_that_change_active_contributions() -> None:
    assert {str(action) for action in Action if action.changes_feed} == {
        "contribution.added",
        "contribution.amended",
        "contribution.withdrawn",
        "contribution.expired",
        "contribution.suspended",
        "contribution.reinstated",
        "contribution.confirmed",
        "contribution.disputed",
        "contribution.quarantined",
        "contribution.retired",
        "contribution.cleared",
        "contribution.committed",
    }


def test_the_subject_of_an_event_is_kind_and_id() -> None:
    assert LogEntry(Action.KEY_ISSUED, "key", 7, {}).subject == "key:7"
    assert Event(1, AT, "system:cli", "key.issued", "key", 7, {}, b"").subject == "key:7"


LATER = [*STATUS_EVENTS.values(), *STANDING_EVENTS.values(), Action.CONTRIBUTION_AMENDED, Action.CONTRIBUTION_ERASED]
histories = st.lists(st.sampled_from(LATER), max_size=12).map(lambda later: [Action.CONTRIBUTION_ADDED, *later])


def events_of(actions: list[Action]) -> list[Event]:
    """The events of a contribution, as the service writes them: each has the state before it."""
    state, events = ContributionState(), list[Event]()
    for seq, action in enumerate(actions, 1):
        before = state.status if action in STATUS_AFTER else state.standing
        details: Details = {"member": 3, "kind": "platform", "labels": ["x"], "before": str(before)}
        events.append(Event(seq, NOON, "system:service", action, "contribution", 17, details, b""))
        state = state.after(action)
    return events


@given(histories)
def test_all_readers_of_events_agree_on_the_status_and_standing(actions: list[Action]) -> None:
    state, ended, reversed_ = ContributionState(), False, False
    for action in actions:
        state = state.after(action)
        ended = action in ENDING_ACTIONS if action in STATUS_AFTER else ended
        reversed_ = action in REVERSING_ACTIONS if action in STANDING_AFTER else reversed_
    events = events_of(actions)
    assert matched_after(actions) == state.matches == (not ended and not reversed_)

    replay = Replay(Period(NOON.date(), NOON.date()))
    records = ExpectedRecords()
    for event in events:
        replay.add_event(event)
        records.replay(0, event.actor, event.action, event.kind, event.id, canonical(event.details))
    assert replay.contributed().active == state.matches
    status, standing = (
        records.record("contribution", 17)[FIELDS["contribution"].index(name)] for name in ("status", "standing")
    )
    assert (status, standing) == (state.status, state.standing)

    figures = {key.what: times for key, times in deltas(events, {17: 3}, 0, {}).in_all.items() if times}
    assert figures == {f"status:{state.status}": 1, f"standing:{state.standing}": 1}


def test_each_status_and_standing_has_the_event_that_logs_it() -> None:
    assert set(STATUS_EVENTS) == set(Status) and set(STANDING_EVENTS) == set(Standing)
    assert {*STATUS_AFTER, *STANDING_AFTER} <= {action for action in Action if action.changes_feed}
    assert set(ENDING_ACTIONS) == {
        Action.CONTRIBUTION_WITHDRAWN,
        Action.CONTRIBUTION_EXPIRED,
        Action.CONTRIBUTION_SUSPENDED,
    }
    assert set(REVERSING_ACTIONS) == {
        Action.CONTRIBUTION_WITHDRAWN,
        Action.CONTRIBUTION_QUARANTINED,
        Action.CONTRIBUTION_RETIRED,
    }
