"""hashdb status: which settings are in use, where they come from, and whether they work."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from hashdb.cli import status
from hashdb.configuration import Configuration, SettingValue
from tests.cli.conftest import Commands


def rows_by_name(listed: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in listed}


def test_status_shows_the_settings_in_use_without_the_secret(member: Commands, tmp_path: Path) -> None:
    secret, key_file = member.environment["HASHDB_KEY"], tmp_path / "key"
    key_file.write_text(secret)
    key_file.chmod(0o600)

    result = member("status", HASHDB_KEY="", HASHDB_KEY_FILE=str(key_file), HASHDB_HOME=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert f"HASHDB_KEY_FILE ({key_file})" in result.stdout
    assert secret not in result.stdout

    with_both_keys = rows_by_name(member.json("status", HASHDB_KEY_FILE=str(key_file), HASHDB_HOME=str(tmp_path)))
    assert with_both_keys["key"]["setting"] == "HASHDB_KEY; HASHDB_KEY_FILE is not used"
    assert with_both_keys["service"]["value"].startswith(
        "answers test_status_shows_the_settings_in_use_without_the_secret"
    )
    assert (with_both_keys["home"]["value"], with_both_keys["copy"]["value"]) == (
        str(tmp_path),
        "none; `hashdb sync` makes one",
    )


def test_status_shows_an_error_for_each_part_that_does_not_work(member: Commands, tmp_path: Path) -> None:
    unreachable = rows_by_name(
        member.json("status", status=1, HASHDB_URL="http://127.0.0.1:9", HASHDB_HOME=str(tmp_path))
    )
    assert unreachable["service"]["error"].startswith("no answer from http://127.0.0.1:9: it refuses the connection")
    assert (unreachable["address"]["error"], unreachable["key"]["error"]) == ("", "")

    wrong = rows_by_name(member.json("status", status=1, HASHDB_URL="hashdb.example", HASHDB_KEY="17"))
    assert wrong["address"]["error"].startswith("HASHDB_URL: must be an address")
    assert wrong["key"]["error"].startswith("HASHDB_KEY: is the id of a key")
    assert wrong["service"]["value"] == "not asked"


def test_a_file_that_cannot_be_looked_for_is_not_there(run: Commands) -> None:
    result = run("status", XDG_CONFIG_HOME="/" + "x" * 300)
    assert result.stdout.splitlines()[0].endswith("/hashdb.toml, which is not there")


def test_status_warns_of_a_key_that_is_sent_without_tls(run: Commands) -> None:
    rows = rows_by_name(run.json("status", status=1, HASHDB_URL="http://hashdb.example"))
    assert rows["address"]["value"] == "http://hashdb.example, without TLS: others can read the key"
    assert rows["key"]["error"].startswith("HASHDB_KEY: is not set")


def test_a_unix_socket_needs_no_key() -> None:
    configuration = Configuration(Path("hashdb.toml"), {}, {"url": SettingValue("unix:/run/hashdb.sock", "HASHDB_URL")})
    *_, key = islice(status._check(configuration), 3)
    assert (key.name, key.value, key.setting, key.error) == ("key", "none; a socket needs none", "", "")
