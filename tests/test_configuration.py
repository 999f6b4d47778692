"""Configuration: where the address, the key and the home come from, and which errors a wrong one gives."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from hashdb import Client, LocalIndex, errors
from hashdb.configuration import Configuration

SECRET = "hdb_fcQ0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the user's configuration file, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "hashdb.toml"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text)
    file.chmod(mode)


def test_the_environment_overrides_the_file_and_the_file_the_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Configuration.read().url.value == "http://127.0.0.1:8000"

    write(file, f'url = "https://a.example"\nkey = " {SECRET}\\n"\nhome = " copies"\n')
    configuration = Configuration.read()
    assert (configuration.url.value, configuration.key().value, configuration.home.value) == (
        "https://a.example",
        SECRET,
        str(file.parent / "copies"),
    )
    assert configuration.key().setting == f"key in {file}"
    assert LocalIndex.from_environment()._folder == file.parent / "copies" / "local"

    monkeypatch.setenv("HASHDB_URL", " https://A.example/ ")
    monkeypatch.setenv("HASHDB_HOME", "/srv/copy")
    assert (Configuration.read().url.setting, Configuration.read().home.value) == ("HASHDB_URL", "/srv/copy")
    assert Configuration.read().key().value == SECRET

    monkeypatch.setenv("HASHDB_KEY", f"{SECRET}2")
    assert Configuration.read().key().value == f"{SECRET}2"


def test_a_key_is_read_from_a_key_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file = file.with_name("own key")
    write(key_file, f"{SECRET}\n")
    write(file, 'key_file = "own key"\n', 0o644)
    assert Configuration.read().key().value == SECRET
    assert Configuration.read().key().setting == f"key_file in {file} ({key_file})"

    monkeypatch.setenv("HASHDB_KEY_FILE", str(key_file))
    assert Configuration.read().key().setting == f"HASHDB_KEY_FILE ({key_file})"

    monkeypatch.setenv("HASHDB_KEY", f"{SECRET}2")
    assert Configuration.read().key().value == f"{SECRET}2"


def test_a_key_that_others_can_read_is_rejected_with_the_command_to_fix_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = file.with_name("own key")
    write(key_file, SECRET, 0o640)
    monkeypatch.setenv("HASHDB_KEY_FILE", str(key_file))
    with pytest.raises(errors.BadSetting) as caught:
        Configuration.read().key()
    assert str(caught.value) == (
        f"HASHDB_KEY_FILE ({key_file}): others can read it (mode 0640): run chmod 600 '{key_file}'"
    )
    subprocess.run(shlex.split(str(caught.value).partition(": run ")[2]), check=True)
    assert Configuration.read().key().value == SECRET

    monkeypatch.delenv("HASHDB_KEY_FILE")
    write(file, f'key = "{SECRET}"\n', 0o644)
    with pytest.raises(errors.BadSetting, match=r"^key in .*: others can read it \(mode 0644\): run chmod 600 "):
        Configuration.read()


def test_the_key_in_the_file_is_never_sent_to_another_service(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, f'url = "https://a.example"\nkey = "{SECRET}"\n')
    monkeypatch.setenv("HASHDB_URL", "https://b.example")
    with pytest.raises(errors.BadSetting, match=r"^HASHDB_KEY: is not set, and the key in .* is for another service"):
        Client.from_environment()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = ", "is not TOML: "),
        ('keyfile = "x"', "'keyfile' is not a field of this file: url, key, key_file, home; did you mean 'key_file'?"),
        ("home = " + "[" * 20_000, "is not TOML that can be read: its values are nested too deeply"),
        ('home = "\\u0000"', 'must be a text, like home = "~/hashdb-data"'),
        ('key_file = "\\u0000"', 'must be a text, like key_file = "hashdb.key"'),
        ("key = 17", 'must be a text, like key = "hdb_…"'),
        ('url = ""', 'must be a text, like url = "https://hashdb.example"'),
        (f'key = "{SECRET}"\nkey_file = "x"', "has both key and key_file: keep one of them"),
    ],
)
def test_an_invalid_file_is_reported_with_the_fault(file: Path, text: str, message: str) -> None:
    write(file, text)
    with pytest.raises(errors.BadSetting) as caught:
        Configuration.read()
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_file_of_hashdb_config_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_CONFIG", str(tmp_path / "eu.toml"))
    with pytest.raises(errors.BadSetting, match=r"eu\.toml: cannot be read: no such file or directory$"):
        Configuration.read()
    write(tmp_path / "eu.toml", 'url = "https://eu.example"\n')
    assert Configuration.read().url.value == "https://eu.example"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f'"{SECRET}"', "has quotes around the secret"),
        (f"Bearer {SECRET}", "begins with Bearer"),
        ("900719925", "is the id of a key"),
        (f"key 3 (match), its secret, shown only once:\n{SECRET}", "contains more than the secret"),
        (f"{SECRET}…", "contains invalid characters"),
        ("swordfish", "is not the secret of a key: a secret begins with hdb_"),
    ],
)
def test_a_malformed_key_is_rejected_and_never_shown(
    key: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "key"
    write(key_file, key)
    for setting, value in (("HASHDB_KEY_FILE", str(key_file)), ("HASHDB_KEY", key)):
        monkeypatch.setenv(setting, value)
        with pytest.raises(errors.BadSetting) as caught:
            Client.from_environment()
        assert str(caught.value).startswith(setting)
        assert reason in str(caught.value)
        assert key not in str(caught.value) and SECRET not in str(caught.value)


def test_an_unusable_key_file_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file = tmp_path / "key"
    for octets, reason in ((b" \n", "is empty"), (b"\xff", "is not UTF-8"), (b"x" * 100_000, "is too large")):
        key_file.write_bytes(octets)
        key_file.chmod(0o600)
        monkeypatch.setenv("HASHDB_KEY_FILE", str(key_file))
        with pytest.raises(errors.BadSetting, match=reason):
            Configuration.read().key()
    monkeypatch.setenv("HASHDB_KEY_FILE", str(tmp_path))
    with pytest.raises(errors.BadSetting, match="cannot be read: is a directory"):
        Configuration.read().key()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hashdb.example", "must be an address like https://hashdb.example"),
        ("hashdb.example:8000", "must be an address like https://hashdb.example"),
        ("ftp://hashdb.example", "must be an address like https://hashdb.example"),
        ("https://", "must be an address like https://hashdb.example"),
        ("https://hash db.example", "must be an address like https://hashdb.example"),
        ("https://[::1", "is not an address"),
        ("https://hashdb.example:99999", "is not an address"),
        ("'https://hashdb.example'", "has quotes around the address"),
        ("https://ada:pw@hashdb.example", "has a user or a password"),
        ("https://hashdb.example/?x=1", "has ? or #"),
        ("https://hashdb.example/v1", "has the path /v1: give the root of the service"),
        ("https://hashdb.example/v1/matches", "has the path /v1/matches"),
        ("https://hashdb.example/console/", "has the path /console/"),
    ],
)
def test_an_invalid_address_of_a_service_is_rejected(url: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_URL", url)
    with pytest.raises(errors.BadSetting, match=r"^HASHDB_URL: ") as caught:
        _ = Configuration.read().url
    assert reason in str(caught.value)
    assert "pw" not in str(caught.value)


def test_an_address_may_have_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_URL", "https://hashes.example/hashdb/")
    assert Configuration.read().url.value == "https://hashes.example/hashdb/"


def test_the_socket_of_a_sidecar_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_URL", "unix:/run/hashdb/sidecar.sock")
    assert (Configuration.read().url.value, Configuration.read().key().value) == ("unix:/run/hashdb/sidecar.sock", "")
