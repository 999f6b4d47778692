"""Sessions: the cases that the tests of the pages do not cover, like concurrency, provider users and the log."""

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
    User,
    UserChange,
    UserDraft,
    UserStatus,
)
from hashdb.errors import InvalidInput, LimitReached, NotAuthenticated, SignInRefused
from hashdb.service import HashDB
from hashdb.service.accounts import passwords, sessions, users
from hashdb.service.accounts.passwords import verify_password
from hashdb.service.ledger.verification import verify
from hashdb.service.review import cases, claims
from hashdb.service.stats import counts
from hashdb.store import Transaction
from hashdb.store.accounts.users import Sessions
from tests.builders import Clock, contributed, draft, hashdb, member_with
from tests.postgres import on_postgres

PASSWORD = "correct horse battery staple"
LIFETIME = SessionLifetime(timedelta(hours=1), timedelta(hours=12))


@pytest.fixture
def ada(db: HashDB) -> int:
    """The id of a user with a password."""
    return users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD).user.id


def test_a_session_has_the_current_role_of_its_user_until_it_ends(db: HashDB, ada: int) -> None:
    signed_in = sessions.sign_in(db, "ada", PASSWORD, "a")
    assert signed_in.token not in repr(signed_in)
    users.change(db, COMMAND_LINE, ada, UserChange(role=Role.AUDITOR))
    assert sessions.find_session(db, signed_in.token, LIFETIME).user.role is Role.AUDITOR
    sessions.sign_out(db, signed_in.session)
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, signed_in.token, LIFETIME)


def test_a_password_that_is_replaced_while_it_is_checked_opens_no_session(
    db: HashDB, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_then_reset(password: str, hashed: str | None) -> bool:
        is_right = verify_password(password, hashed)
        users.reset(db, COMMAND_LINE, ada)
        return is_right

    monkeypatch.setattr(sessions, "verify_password", verify_then_reset)
    with pytest.raises(SignInRefused):
        sessions.sign_in(db, "ada", PASSWORD, "a")


@pytest.mark.parametrize("number", range(3))
def test_a_session_that_ends_while_the_present_password_is_checked_changes_nothing(
    db: HashDB, ada: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    session, generated = sessions.sign_in(db, "ada", PASSWORD, "a").session, list[str | None]()

    def verify_then_reset(password: str, hashed: str | None) -> bool:
        is_right = verify_password(password, hashed)
        generated.append(users.reset(db, COMMAND_LINE, ada).password)
        return is_right

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "verify_password", verify_then_reset)
        with pytest.raises(NotAuthenticated):
            (_change_password, _add_factor, _remove_factor)[number](db, session, PASSWORD)
    assert sessions.sign_in(db, "ada", generated[0] or "", "a").session.complete


def _end_others(db: HashDB, session: Session, password: str) -> object:
    return sessions.end_others(db, session)


@on_postgres
@pytest.mark.parametrize("number", range(3))
def test_a_session_that_begins_while_the_other_ones_are_ended_is_ended_too(
    database_url: str, db: HashDB, ada: int, clock: Clock, number: int
) -> None:
    own, other_process = sessions.sign_in(db, "ada", PASSWORD, "a").session, hashdb(database_url, clock)
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            sessions._open_complete(tx, tx.users.get(ada, lock=True), clock(), {"by": "password"})
            ending = pool.submit((_change_password, _add_factor, _end_others)[number], db, own, PASSWORD)
            with pytest.raises(TimeoutError):
                ending.result(0.5)
        ending.result()
    other_process.close()
    assert [session.id for session in sessions.list_of_user(db, own)] == [own.id]
    assert verify(db, COMMAND_LINE).findings == ()


@on_postgres
def test_a_sign_out_while_another_session_ends_all_waits_for_it(
    database_url: str, db: HashDB, ada: int, clock: Clock
) -> None:
    """Both release the user's cases: in another order, each could wait for the other."""
    own, other_process = sessions.sign_in(db, "ada", PASSWORD, "a").session, hashdb(database_url, clock)
    actor = own.user.actor
    (item,) = contributed(db, member_with(db), draft(1))
    claims.take(db, actor, cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False).id)
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            tx.sessions.end_all(ada)
            leaving = pool.submit(sessions.sign_out, db, own)
            with pytest.raises(TimeoutError):
                leaving.result(0.5)
            tx.claims.release_all(str(actor))
        leaving.result()
    other_process.close()


@on_postgres
def test_the_last_guess_of_the_present_password_waits_for_the_end_of_the_session(
    database_url: str, db: HashDB, ada: int, clock: Clock
) -> None:
    own, other_process = sessions.sign_in(db, "ada", PASSWORD, "a").session, hashdb(database_url, clock)
    for _ in range(4):
        with pytest.raises(InvalidInput):
            _change_password(db, own, "guess")
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            tx.sessions.end_all(ada)
            guess = pool.submit(_change_password, db, own, "guess")
            with pytest.raises(TimeoutError):
                guess.result(0.5)
            tx.audit.lock()
        with pytest.raises(SignInRefused):
            guess.result()
    other_process.close()


def test_concurrent_password_guesses_are_limited_like_sequential_ones(db: HashDB, ada: int) -> None:
    def guess(number: int) -> str:
        try:
            sessions.sign_in(db, "ada", f"guess {number}", "a")
        except (SignInRefused, LimitReached) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(guess, range(12)))
    assert outcomes.count("SignInRefused") == 5
    assert outcomes.count("LimitReached") == 7


def test_failed_sign_ins_under_any_name_block_an_address_and_successes_do_not(db: HashDB, ada: int) -> None:
    for _ in range(25):
        sessions.sign_in(db, "ada", PASSWORD, "office")
    for number in range(20):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", "guesser")
    with pytest.raises(LimitReached) as caught:
        sessions.sign_in(db, "ada", PASSWORD, "guesser")
    assert caught.value.retry_after == 30
    assert sessions.sign_in(db, "ada", PASSWORD, "office").session.complete


def test_guesses_of_a_code_count_as_failed_sign_ins_of_the_user(db: HashDB, ada: int, clock: Clock) -> None:
    secret = passwords.new_secret()
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    users.add_factor(db, session, PASSWORD, secret, pyotp.TOTP(secret).at(clock()))
    incomplete = sessions.sign_in(db, "ada", PASSWORD, "a")
    assert not incomplete.session.complete
    for _ in range(4):
        with pytest.raises(SignInRefused, match=r"^the code is wrong$"):
            sessions.confirm(db, incomplete.token, "0", "a")
    with pytest.raises(LimitReached):
        sessions.confirm(db, incomplete.token, "0", "a")
    clock.advance(minutes=6)
    with pytest.raises(NotAuthenticated):
        sessions.confirm(db, incomplete.token, pyotp.TOTP(secret).at(clock()), "a")


def test_a_half_open_session_that_ends_while_it_is_completed_opens_no_session(
    db: HashDB, ada: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = passwords.new_secret()
    signed_in = sessions.sign_in(db, "ada", PASSWORD, "a")
    users.add_factor(db, signed_in.session, PASSWORD, secret, pyotp.TOTP(secret).at(clock()))
    clock.advance(seconds=30)
    incomplete = sessions.sign_in(db, "ada", PASSWORD, "a")
    with_digest = Sessions.with_digest

    def read_then_end(stored: Sessions, digest: bytes) -> Session | None:
        """What another transaction does that disables the user, or completes the same session, at this moment."""
        session = with_digest(stored, digest)
        stored.end_all(ada)
        return session

    monkeypatch.setattr(Sessions, "with_digest", read_then_end)
    with pytest.raises(NotAuthenticated):
        sessions.confirm(db, incomplete.token, pyotp.TOTP(secret).at(clock()), "a")


def _change_password(db: HashDB, session: Session, password: str) -> object:
    return users.choose_password(db, session, password, "another long password")


def _add_factor(db: HashDB, session: Session, password: str) -> object:
    secret = passwords.new_secret()
    return users.add_factor(db, session, password, secret, pyotp.TOTP(secret).at(db.now()))


def _remove_factor(db: HashDB, session: Session, password: str) -> object:
    return users.remove_factor(db, session, password)


@pytest.mark.parametrize("change", [_change_password, _add_factor, _remove_factor])
def test_guesses_of_the_current_password_end_the_session_and_block_changes(
    db: HashDB, ada: int, clock: Clock, change: Callable[[HashDB, Session, str], object]
) -> None:
    stolen, own = (sessions.sign_in(db, "ada", PASSWORD, "a") for _ in range(2))
    for number in range(4):
        with pytest.raises(InvalidInput, match=r"^present: is wrong$"):
            change(db, stolen.session, f"guess {number}")
    with pytest.raises(SignInRefused, match="this session has ended"):
        change(db, stolen.session, "guess 5")
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, stolen.token, LIFETIME)
    assert sessions.find_session(db, own.token, LIFETIME).complete
    with pytest.raises(LimitReached) as caught:
        change(db, own.session, PASSWORD)
    assert caught.value.retry_after == 30
    assert sessions.sign_in(db, "ada", PASSWORD, "a").session.complete
    clock.advance(seconds=31)
    change(db, own.session, PASSWORD)


def test_concurrent_guesses_of_the_current_password_share_one_limit(db: HashDB, ada: int) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session

    def guess(number: int) -> str:
        try:
            (_change_password, _add_factor, _remove_factor)[number % 3](db, session, f"guess {number}")
        except (InvalidInput, SignInRefused, LimitReached) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(guess, range(40)))
    assert outcomes.count("LimitReached") == 35 and "in" not in outcomes


def test_failed_sign_ins_do_not_prevent_a_user_from_changing_the_password(db: HashDB, ada: int) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    for _ in range(5):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, "ada", "x", "b")
    _change_password(db, session, PASSWORD)


def test_failed_sign_ins_of_unknown_users_are_logged_in_one_event(db: HashDB, ada: int, clock: Clock) -> None:
    before = db.store.head().seq
    for number in range(30):
        with pytest.raises(SignInRefused):
            sessions.sign_in(db, f"name {number}", "x", f"192.0.2.{number}")
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "nobody", ProviderIdentity("https://one.example", "subject 1"), "b")
    counts.flush(db)
    with db.store.read() as tx:
        logged = [(event.action, dict(event.details)) for event in tx.audit.since(before, 99)]
    assert logged == [("auth.refused", {"unknown-user": 31})]


@pytest.mark.parametrize("name", ["a\x00da", "\x00", "ada\n", ""])
def test_an_invalid_user_name_is_refused_like_an_unknown_one(db: HashDB, ada: int, name: str) -> None:
    with pytest.raises(SignInRefused, match=r"^the name or the password is wrong$"):
        sessions.sign_in(db, name, PASSWORD, "a")
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, name, ProviderIdentity("https://one.example", "subject 1"), "a")


def test_an_ipv6_address_counts_as_its_network(db: HashDB, ada: int) -> None:
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


def test_a_provider_user_is_bound_to_one_subject_of_one_issuer(db: HashDB) -> None:
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


@on_postgres
def test_a_provider_user_that_is_changed_during_a_sign_in_is_not_signed_in(
    db: HashDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = users.add(db, COMMAND_LINE, UserDraft("bob", Role.REVIEWER), local=False).user
    find_user = sessions._find_user

    def find_then_reset(tx: Transaction, name: str) -> User | None:
        found = find_user(tx, name)
        users.reset(db, COMMAND_LINE, user.id)
        return found

    monkeypatch.setattr(sessions, "_find_user", find_then_reset)
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "bob", ProviderIdentity("https://one.example", "subject 1"), "a")
    with db.store.read() as tx:
        assert (tx.users.identity(user.id), tx.sessions.complete_sessions(user.id)) == (None, ())


def test_a_subject_stored_without_an_issuer_is_bound_at_the_next_sign_in(db: HashDB) -> None:
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


def test_a_provider_identity_cannot_sign_in_to_a_password_account(db: HashDB, ada: int) -> None:
    identity = ProviderIdentity("https://one.example", "subject 1")
    with db.store.begin() as tx:
        # Version 0.1.0 could store an identity for such an account.
        tx.users.set_identity(ada, identity)
    with pytest.raises(SignInRefused):
        sessions.sign_in_by_provider(db, "ada", identity, "a")
    users.use_provider(db, COMMAND_LINE, ada)
    with pytest.raises(SignInRefused):
        sessions.sign_in(db, "ada", PASSWORD, "a")
    assert sessions.sign_in_by_provider(db, "ada", identity, "a").session.complete


def test_the_last_use_of_a_session_is_stored_once_a_minute_at_most(db: HashDB, ada: int, clock: Clock) -> None:
    signed_in = sessions.sign_in(db, "ada", PASSWORD, "a")
    signed_in_at = clock()
    clock.advance(seconds=59)
    sessions.find_session(db, signed_in.token, LIFETIME)
    assert sessions.list_of_user(db, signed_in.session)[0].seen_at == signed_in_at
    clock.advance(seconds=1)
    sessions.find_session(db, signed_in.token, LIFETIME, in_use=False)
    assert sessions.list_of_user(db, signed_in.session)[0].seen_at == signed_in_at
    sessions.find_session(db, signed_in.token, LIFETIME)
    assert sessions.list_of_user(db, signed_in.session)[0].seen_at == clock()


def test_a_user_can_end_all_other_sessions(db: HashDB, ada: int) -> None:
    current, other = (sessions.sign_in(db, "ada", PASSWORD, "a") for _ in range(2))
    assert sessions.end_others(db, current.session) == 1
    assert sessions.end_others(db, current.session) == 0
    assert len(sessions.list_of_user(db, current.session)) == 1
    with pytest.raises(NotAuthenticated):
        sessions.find_session(db, other.token, LIFETIME)
