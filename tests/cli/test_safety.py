"""Unsafe settings with which `hashdb serve` does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.cli.listening import is_loopback, warn_of_unknown_settings
from hashdb.cli.serve import require_safe
from hashdb.errors import UnsafeStart
from hashdb.settings import Settings
from tests.cli.conftest import Commands


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "nowhere.invalid"])
def test_a_loopback_host_needs_no_tls(host: str, tmp_path: Path) -> None:
    assert is_loopback(host)
    require_safe(Settings(home=tmp_path), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", ""])
def test_plain_http_on_a_public_host_is_rejected_unless_behind_tls(host: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeStart, match="HASHDB_BEHIND_TLS=true"):
        # The number of proxies does not mean that they use TLS.
        require_safe(Settings(home=tmp_path, proxies=1), host)
    require_safe(Settings(home=tmp_path, behind_tls=True), host)


def test_serve_reports_the_unsafe_host_and_creates_no_database(run: Commands) -> None:
    result = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.returncode == 1
    assert result.stderr == (
        "hashdb: --host 0.0.0.0 is open to other machines, and hashdb speaks plain HTTP: put a TLS proxy in front of it"
        " and set HASHDB_BEHIND_TLS=true, or listen on 127.0.0.1\n"
    )
    home = Path(run.environment["HASHDB_HOME"])
    assert [path.name for path in home.iterdir()] == ["serve.lock"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o666])
def test_a_signing_key_that_others_can_read_or_write_is_rejected(run: Commands, tmp_path: Path, mode: int) -> None:
    key = tmp_path / "log.key"
    key.write_text("")
    key.chmod(mode)
    result = run("serve", "--port", "0", HASHDB_SIGNING_KEY_FILE=str(key))
    assert (result.returncode, result.stderr) == (
        1,
        f"hashdb: the signing key {key} can be read or replaced by others (mode {mode:04o}): chmod 600 {key}\n",
    )
    key.chmod(0o400)
    require_safe(Settings(home=tmp_path, signing_key_file=key), "127.0.0.1")


def test_nobody_is_told_to_change_the_mode_of_a_folder(run: Commands, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    result = run("serve", "--port", "0", HASHDB_SIGNING_KEY_FILE=str(tmp_path))
    assert (result.returncode, result.stderr) == (
        2,
        f"hashdb: HASHDB_SIGNING_KEY_FILE: {tmp_path} cannot be used: is a directory\n",
    )


@pytest.mark.parametrize(("name", "value"), [("FLASK_DEBUG", "1"), ("FLASK_DEBUG", "true"), ("PYTHONDEVMODE", "1")])
def test_debug_mode_is_rejected(run: Commands, name: str, value: str) -> None:
    result = Commands(run.environment | {name: value}).process("serve", "--port", "0")
    assert result.returncode == 1
    assert name in result.stderr.splitlines()[-1]


def test_a_debug_variable_that_is_off_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "0")
    require_safe(Settings(home=tmp_path), "127.0.0.1")


def test_serve_warns_of_variables_that_are_not_settings() -> None:
    others = ["HASHDB_HOME", "hashdb_home", "HASHDB_KERNEL", "HASHDB_TEST_CHROMIUM", "HASHDB_REQUIRE_ALL", "HOME"]
    others += ["HASHDB_SERVICE_HOST", "HASHDB_PORT_8000_TCP"]
    assert list(warn_of_unknown_settings(["HASHDB_RATE_LIMITS", *others, "HASHDB_COLOUR_OF_THE_MOON"])) == [
        "HASHDB_COLOUR_OF_THE_MOON is not a setting and is ignored",
        "HASHDB_RATE_LIMITS is not a setting and is ignored: did you mean HASHDB_RATE_LIMIT?",
    ]


def test_a_warning_does_not_stop_the_start(run: Commands) -> None:
    result = run("serve", "--host", "0.0.0.0", "--port", "0", HASHDB_MAXBODY="1", **{"HASHDB_A\nB": "1"})
    assert result.returncode == 1
    first, second, error = result.stderr.splitlines()
    assert first.startswith("hashdb: HASHDB_A\\nB is not a setting")
    assert second == "hashdb: HASHDB_MAXBODY is not a setting and is ignored: did you mean HASHDB_MAX_BODY?"
    assert error.startswith("hashdb: --host 0.0.0.0 is open to other machines")
