"""Sessions: how long they last, and how long a user waits after failed sign-ins."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.users import FailedTries, Role, Session, SessionLifetime, User, UserStatus
from tests.builders import NOON

USER = User(1, "ada", Role.ADMIN, UserStatus.ACTIVE, True, False, False, NOON)
LIFETIME = SessionLifetime(timedelta(hours=1), timedelta(hours=12))
MINUTE = timedelta(minutes=1)


def test_a_session_ends_after_an_hour_idle_and_after_twelve_hours() -> None:
    session = Session(1, USER, NOON, NOON + 11 * timedelta(hours=1), complete=True, tag="")
    assert session.valid(NOON + timedelta(hours=11, minutes=59), LIFETIME)
    assert not session.valid(NOON + timedelta(hours=12), LIFETIME)
    assert not Session(1, USER, NOON, NOON, complete=True, tag="").valid(NOON + timedelta(hours=1), LIFETIME)


def test_a_session_without_its_second_factor_ends_after_five_minutes() -> None:
    session = Session(1, USER, NOON, NOON, complete=False, tag="")
    assert session.valid(NOON + 4 * MINUTE, LIFETIME)
    assert not session.valid(NOON + 5 * MINUTE, LIFETIME)


def test_the_wait_after_failed_sign_ins_doubles_up_to_15_minutes() -> None:
    waits = [FailedTries("user", count, NOON).wait(NOON).total_seconds() for count in (0, 4, 5, 6, 7, 9, 10, 10**6)]
    assert waits == [0, 0, 30, 60, 120, 480, 900, 900]
    assert FailedTries("address", 19, NOON).wait(NOON) == timedelta(0)
    assert FailedTries("address", 20, NOON).wait(NOON) == timedelta(seconds=30)
    assert FailedTries("user", 5, NOON).wait(NOON + MINUTE) == timedelta(0)
