"""hashdb user."""

from __future__ import annotations

import io
import re
import sys

import pytest

from tests.cli.conftest import Commands


def test_a_user_is_added_with_a_password_shown_once(run: Commands) -> None:
    output = run.json("user", "add", "ada", "--role", "admin")
    assert output | {"created_at": "", "password": ""} == {
        "id": 1,
        "name": "ada",
        "role": "admin",
        "status": "active",
        "has_password": True,
        "second_factor": False,
        "created_at": "",
        "password": "",
    }
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", output["password"])
    assert "password" not in run.json("user", "list")["users"][0]


def test_the_text_output_shows_the_password_on_its_own_line(run: Commands) -> None:
    lines = run("user", "add", "ada", "--role", "auditor").stdout.splitlines()
    assert lines[0] == "user 1: ada (auditor)"
    assert re.fullmatch(r"[a-z2-9-]{23}", lines[-1])


def test_a_password_from_standard_input_must_be_strong_enough(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    result = run("user", "add", "ada", "--role", "admin", "--password")
    assert (result.returncode, result.stderr) == (1, "hashdb: password: must have 12 to 200 characters\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    assert run("user", "add", "ada", "--role", "admin", "--password").stdout == "user 1: ada (admin)\n"


def test_a_user_of_the_provider_has_no_password(run: Commands) -> None:
    assert run.json("user", "add", "ada", "--role", "admin", "--provider")["has_password"] is False
    assert run("user", "add", "x", "--role", "admin", "--provider", "--password").returncode == 2


def test_a_user_gets_a_new_role_status_and_password(run: Commands) -> None:
    first = run.json("user", "add", "ada", "--role", "admin")["password"]
    assert run.json("user", "role", "ada", "auditor")["role"] == "auditor"
    assert run.json("user", "role", "user", "1", "auditor")["name"] == "ada"
    assert run("user", "role", "adda", "auditor").stderr.endswith("does not exist; did you mean 'ada'?\n")
    assert run("user", "disable", "ada").stdout == "user 1 (ada) is auditor, disabled\n"
    assert run.json("user", "enable", "ada")["status"] == "active"
    assert run.json("user", "reset-password", "ada")["password"] not in (None, first)
    assert "auditor" in run("user", "list").stdout


def test_a_user_is_moved_to_the_provider_and_back(run: Commands) -> None:
    run("user", "add", "ada", "--role", "admin")
    assert run("user", "use-provider", "ada").stdout == "user 1 (ada) signs in with OpenID Connect\n"
    assert run.json("user", "use-provider", "ada")["has_password"] is False
    assert run.json("user", "reset-password", "ada")["has_password"] is True


def test_a_missing_or_duplicate_user_is_reported(run: Commands) -> None:
    assert run("user", "disable", "ada").stderr == "hashdb: a user named ada does not exist\n"
    run("user", "add", "ada", "--role", "admin")
    assert run("user", "add", "ada", "--role", "admin").stderr == "hashdb: a user named ada already exists\n"
