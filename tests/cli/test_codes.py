"""hashdb codes: every code with its meaning."""

from __future__ import annotations

import pytest

from hashdb.domain.meanings import EXAMPLES, MEANINGS
from tests.cli.conftest import Commands

CODES = {
    kind: {code: {"meaning": meaning, "example": EXAMPLES[kind][code]} for code, meaning in codes.items()}
    for kind, codes in MEANINGS.items()
}


def test_every_code_is_listed_with_its_meaning_and_an_example(run: Commands) -> None:
    listed = " ".join(run("codes").stdout.split())
    for kind, codes in MEANINGS.items():
        assert f"({kind}):" in listed
        for code, meaning in codes.items():
            assert f" {code} {meaning}; for example, {EXAMPLES[kind][code]} " in f"{listed} "
    assert run.json("codes") == CODES
    assert run.json("codes", "reason") == {"reason": CODES["reason"]}
    assert run.json("codes", "label") == run.json("codes", "labels") == {"behaviour": CODES["behaviour"]}
    assert "Did you mean 'reason'?" in run("codes", "reasons").stderr


def test_control_characters_of_the_service_are_escaped(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashdb.cli.codes._read_service_codes", lambda: {"new\x1b[2J": ["a\x1b[31mb"]})
    printed = run("codes", "--service").stdout
    assert "\x1b" not in printed
    assert r"(new\x1b[2J)" in printed and r"a\x1b[31mb" in printed


def test_the_service_lists_the_same_codes(member: Commands) -> None:
    assert member.json("codes", "--service") == CODES
