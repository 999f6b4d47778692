"""Passwords, codes and recovery codes."""

from __future__ import annotations

from datetime import timedelta

import pyotp
from argon2 import PasswordHasher

from hashdb.domain.accounts.users import Credentials
from hashdb.service.accounts import passwords
from tests.builders import NOON


def test_a_password_is_verified_against_its_stored_hash() -> None:
    stored = passwords.hash_password("correct horse caf\u00e9")
    assert stored.startswith("$argon2id$")
    assert passwords.verify_password("correct horse cafe\u0301", stored)
    assert not passwords.verify_password("correct horse", stored)
    assert not passwords.verify_password("x", None)
    assert not passwords.verify_password("x", "not of argon2")


def test_a_code_is_valid_once_for_its_time_step_and_the_adjacent_ones() -> None:
    secret = passwords.new_secret()
    assert passwords.is_secret(secret)
    totp = pyotp.TOTP(secret)
    for seconds, valid in ((-61, False), (-30, True), (0, True), (30, True), (61, False)):
        code = totp.at(NOON + timedelta(seconds=seconds))
        assert (passwords.code_step(secret, code, NOON, 0) is not None) is valid
    step = passwords.code_step(secret, totp.at(NOON), NOON, 0)
    assert step is not None
    assert passwords.code_step(secret, totp.at(NOON), NOON, step) is None
    for wrong in ("", "abcdef", "\uff11" * 6, "0" * 100):
        assert passwords.code_step(secret, wrong, NOON, 0) is None


def test_a_recovery_code_works_only_once() -> None:
    codes = passwords.new_codes()
    credentials = Credentials(None, None, 0, tuple(map(passwords.recovery_digest, codes)))
    remaining = passwords.remaining_codes(f" {codes[3].upper()} ", credentials)
    assert remaining is not None
    assert len(remaining) == 9
    assert passwords.remaining_codes(codes[3], Credentials(None, None, 0, remaining)) is None


def test_generated_passwords_are_all_different() -> None:
    assert len({passwords.generate_password() for _ in range(50)}) == 50
    assert len(passwords.generate_password()) == 23


def test_the_provisioning_address_names_the_service_and_the_user() -> None:
    address = passwords.provisioning("A" * 32, "Rosa R.", "hashdb")
    assert address.startswith("otpauth://totp/hashdb:Rosa%20R.?secret=" + "A" * 32)


def test_password_hashes_have_the_cost_that_the_rfc_recommends(cheap_passwords: PasswordHasher) -> None:
    assert (cheap_passwords.memory_cost, cheap_passwords.time_cost, cheap_passwords.parallelism) == (65_536, 3, 4)
