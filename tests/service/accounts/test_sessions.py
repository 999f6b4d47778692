"""Sessions: what the pages' tests do not reach: concurrency, the provider's users, the log."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import (
    ProviderIdentity,
    Role,
    Session,
    SessionLifetime,
    UserChange,
    UserDraft,
    UserStatus,
)
from hashdb.errors import InvalidInput, LimitReached, NotAuthenticated, SignInRefused
from hashdb.service import HashDB
from hashdb.service.accounts import sessions, users
from hashdb.service.stats import counts
from tests.builders import Clock

PASSWORD = "correct horse battery staple"
LIFETIME = SessionLifetime(timedelta(hours=1), timedelta(hours=12))


@pytest.fixture
def ada(db: HashDB) -> int:
    """The number of a user with a password."""
    return users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD).user.id


def test_a_session_is_its_users_as_it_is_now(db: HashDB, ada: int) -> None:
    opened = sessions.sign_in(db, "ada", PASSWORD, "a")
    assert opened.token not in repr(opened)
    users.change(db, COMMAND_LINE, ada, UserChange(role=Role.AUDITOR))
    assert sessions.find_session(db, opened.token, LIFETIME).user.role is Role.AUDITOR
    sessions.sign_out(db, opened.session)
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, opened.token, LIFETIME)


def test_many_guesses_at_a_time_are_as_many_as_one_after_the_other(db: HashDB, ada: int) -> None:
    def guess(number: int) -> str:
        try:
            sessions.sign_in(db, "ada", f"guess {number}", "a")
        except (SignInRefused, LimitReached) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(guess, range(12)))
    assert came.count("SignInRefused") == 5
    assert came.count("LimitReached") == 7


def test_an_address_waits_whatever_names_it_tries_and_good_sign_ins_do_not_count(db: HashDB, ada: int) -> None:
    for _ in range(25):
        sessions.sign_in(db, "ada", PASSWORD, "office")
    for number in range(20):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", "guesser")
    with pytest.raises(LimitReached) as caught:
        sessions.sign_in(db, "ada", PASSWORD, "guesser")
    assert caught.value.retry_after == 30
    assert sessions.sign_in(db, "ada", PASSWORD, "office").session.complete


def test_guesses_of_a_code_count_as_guesses_of_the_user(db: HashDB, ada: int, clock: Clock) -> None:
    secret = sessions.new_secret()
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    users.add_factor(db, session, PASSWORD, secret, pyotp.TOTP(secret).at(clock()))
    half = sessions.sign_in(db, "ada", PASSWORD, "a")
    assert not half.session.complete
    for _ in range(4):
        with pytest.raises(SignInRefused, match=r"^the code is wrong$"):
            sessions.confirm(db, half.token, "0", "a")
    with pytest.raises(LimitReached):
        sessions.confirm(db, half.token, "0", "a")
    clock.go(minutes=6)
    with pytest.raises(NotAuthenticated):
        sessions.confirm(db, half.token, pyotp.TOTP(secret).at(clock()), "a")


def _change_password(db: HashDB, session: Session, present: str) -> object:
    return users.choose_password(db, session, present, "another long password")


def _add_factor(db: HashDB, session: Session, present: str) -> object:
    secret = sessions.new_secret()
    return users.add_factor(db, session, present, secret, pyotp.TOTP(secret).at(db.now()))


def _remove_factor(db: HashDB, session: Session, present: str) -> object:
    return users.remove_factor(db, session, present)


@pytest.mark.parametrize("form", [_change_password, _add_factor, _remove_factor])
def test_guesses_of_the_present_password_end_the_session_and_then_wait(
    db: HashDB, ada: int, clock: Clock, form: Callable[[HashDB, Session, str], object]
) -> None:
    stolen, own = (sessions.sign_in(db, "ada", PASSWORD, "a") for _ in range(2))
    for number in range(4):
        with pytest.raises(InvalidInput, match=r"^present: is not your password$"):
            form(db, stolen.session, f"guess {number}")
    with pytest.raises(SignInRefused, match="this session has ended"):
        form(db, stolen.session, "guess 5")
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, stolen.token, LIFETIME)
    assert sessions.find_session(db, own.token, LIFETIME).complete
    with pytest.raises(LimitReached) as caught:
        form(db, own.session, PASSWORD)
    assert caught.value.retry_after == 30
    assert sessions.sign_in(db, "ada", PASSWORD, "a").session.complete
    clock.go(seconds=31)
    form(db, own.session, PASSWORD)


def test_guesses_of_the_present_password_are_counted_over_all_forms_and_at_once(db: HashDB, ada: int) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session

    def guess(number: int) -> str:
        try:
            (_change_password, _add_factor, _remove_factor)[number % 3](db, session, f"guess {number}")
        except (InvalidInput, SignInRefused, LimitReached) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(guess, range(40)))
    assert came.count("LimitReached") == 35 and "in" not in came


def test_failed_sign_ins_do_not_keep_a_user_from_changing_the_password(db: HashDB, ada: int) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    for _ in range(5):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, "ada", "x", "b")
    _change_password(db, session, PASSWORD)


def test_failures_as_users_that_do_not_exist_are_gathered_in_one_event(db: HashDB, ada: int, clock: Clock) -> None:
    before = db.store.head().seq
    for number in range(30):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", f"192.0.2.{number}")
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "nobody", ProviderIdentity("https://one.example", "subject 1"), "b")
    counts.flush(db)
    with db.store.read() as tx:
        told = [(event.action, dict(event.details)) for event in tx.audit.since(before, 99)]
    assert told == [("auth.refused", {"unknown-user": 31})]


@pytest.mark.parametrize("name", ["a\x00da", "\x00", "ada\n", ""])
def test_a_name_that_nobody_can_have_is_refused_as_one_that_nobody_has(db: HashDB, ada: int, name: str) -> None:
    with pytest.raises(SignInRefused, match=r"^the name or the password is wrong$"):
        sessions.sign_in(db, name, PASSWORD, "a")
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, name, ProviderIdentity("https://one.example", "subject 1"), "a")


def test_an_address_of_ipv6_counts_as_its_network(db: HashDB, ada: int) -> None:
    for number in range(20):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", f"2001:db8:0:1::{number:x}")
    with pytest.raises(LimitReached):
        sessions.sign_in(db, "ada", PASSWORD, "2001:db8:0:1:ffff::1")
    assert sessions.sign_in(db, "ada", PASSWORD, "2001:db8:0:2::1").session.complete
    for number in range(20):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", "::ffff:192.0.2.7")
    with pytest.raises(LimitReached):
        sessions.sign_in(db, "ada", PASSWORD, "192.0.2.7")
    assert sessions.sign_in(db, "ada", PASSWORD, "::ffff:192.0.2.8").session.complete


def test_a_user_of_the_provider_belongs_to_one_subject_of_one_issuer(db: HashDB) -> None:
    bob = users.add(db, COMMAND_LINE, UserDraft("bob", Role.ADMIN), local=False).user.id
    own = ProviderIdentity("https://one.example", "subject 1")
    assert sessions.sign_in_by_provider(db, "bob", own, "a").session.complete
    assert sessions.sign_in_by_provider(db, "bob", own, "a").session.complete
    others = (
        ("bob", ProviderIdentity("https://one.example", "subject 2")),
        ("bob", ProviderIdentity("https://two.example", "subject 1")),
        ("nobody", own),
    )
    for name, identity in others:
        with pytest.raises(SignInRefused):
            sessions.sign_in_by_provider(db, name, identity, "a")
    users.change(db, COMMAND_LINE, bob, UserChange(status=UserStatus.DISABLED))
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "bob", own, "a")


def test_a_subject_that_was_stored_without_its_issuer_is_bound_to_the_next_one(db: HashDB) -> None:
    bob = users.add(db, COMMAND_LINE, UserDraft("bob", Role.ADMIN), local=False).user.id
    with db.store.begin() as tx:
        tx.users.set_identity(bob, ProviderIdentity(None, "subject 1"))
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "bob", ProviderIdentity("https://one.example", "subject 2"), "a")
    assert sessions.sign_in_by_provider(
        db, "bob", ProviderIdentity("https://one.example", "subject 1"), "a"
    ).session.complete
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "bob", ProviderIdentity("https://two.example", "subject 1"), "a")


def test_the_provider_does_not_open_an_account_with_a_password(db: HashDB, ada: int) -> None:
    account = ProviderIdentity("https://one.example", "subject 1")
    with db.store.begin() as tx:
        # As version 0.1.0 left it.
        tx.users.set_identity(ada, account)
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "ada", account, "a")
    users.use_provider(db, COMMAND_LINE, ada)
    with pytest.raises(SignInRefused):
        sessions.sign_in(db, "ada", PASSWORD, "a")
    assert sessions.sign_in_by_provider(db, "ada", account, "a").session.complete


def test_only_what_is_seen_now_and_then_is_written(db: HashDB, ada: int, clock: Clock) -> None:
    opened = sessions.sign_in(db, "ada", PASSWORD, "a")
    begun = clock()
    clock.go(seconds=59)
    sessions.find_session(db, opened.token, LIFETIME)
    assert sessions.list_of_user(db, opened.session)[0].seen_at == begun
    clock.go(seconds=1)
    sessions.find_session(db, opened.token, LIFETIME, in_use=False)
    assert sessions.list_of_user(db, opened.session)[0].seen_at == begun
    sessions.find_session(db, opened.token, LIFETIME)
    assert sessions.list_of_user(db, opened.session)[0].seen_at == clock()


def test_other_sessions_are_ended(db: HashDB, ada: int) -> None:
    one, other = (sessions.sign_in(db, "ada", PASSWORD, "a") for _ in range(2))
    assert sessions.end_others(db, one.session) == 1
    assert sessions.end_others(db, one.session) == 0
    assert len(sessions.list_of_user(db, one.session)) == 1
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, other.token, LIFETIME)
