"""hashdb codes: every code with what it means."""

from __future__ import annotations

from hashdb.domain.meanings import MEANINGS
from tests.cli.conftest import Commands


def test_every_code_is_listed_with_its_meaning(run: Commands) -> None:
    listed = run("codes").stdout
    for kind, codes in MEANINGS.items():
        assert f"({kind}):" in listed
        for code, meaning in codes.items():
            assert f"  {code} " in listed and f" {meaning}\n" in listed
    assert run.json("codes") == MEANINGS
    assert run.json("codes", "reason") == {"reason": MEANINGS["reason"]}
    assert "Did you mean 'reason'?" in run("codes", "reasons").stderr


def test_the_codes_of_the_service_are_those_that_it_takes(member: Commands) -> None:
    assert member.json("codes", "--service") == MEANINGS
