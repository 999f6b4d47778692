"""hashdb status: what is in use, from where, and whether it works."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from hashdb.cli import status
from hashdb.configuration import Configuration, SettingValue
from tests.cli.conftest import Commands


def rows(listed: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in listed}


def test_what_is_in_use_is_shown_with_its_setting_and_without_the_secret(member: Commands, tmp_path: Path) -> None:
    secret, own = member.environment["HASHDB_KEY"], tmp_path / "key"
    own.write_text(secret)
    own.chmod(0o600)

    done = member("status", HASHDB_KEY="", HASHDB_KEY_FILE=str(own), HASHDB_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"HASHDB_KEY_FILE ({own})" in done.stdout
    assert secret not in done.stdout

    both = rows(member.json("status", HASHDB_KEY_FILE=str(own), HASHDB_HOME=str(tmp_path)))
    assert both["key"]["setting"] == "HASHDB_KEY; HASHDB_KEY_FILE is not used"
    assert both["service"]["value"].startswith("answers test_what_is_in_use_is_shown_with_its_setting")
    assert (both["home"]["value"], both["copy"]["value"]) == (str(tmp_path), "none; `hashdb sync` makes one")


def test_what_does_not_work_is_shown_beside_what_does(member: Commands, tmp_path: Path) -> None:
    away = rows(member.json("status", status=1, HASHDB_URL="http://127.0.0.1:9", HASHDB_HOME=str(tmp_path)))
    assert away["service"]["error"].startswith("no answer from http://127.0.0.1:9: it refuses the connection")
    assert (away["address"]["error"], away["key"]["error"]) == ("", "")

    wrong = rows(member.json("status", status=1, HASHDB_URL="hashdb.example", HASHDB_KEY="17"))
    assert wrong["address"]["error"].startswith("HASHDB_URL: must be an address")
    assert wrong["key"]["error"].startswith("HASHDB_KEY: is the id of a key")
    assert wrong["service"]["value"] == "not asked"


def test_a_key_that_goes_over_the_network_readable_is_pointed_out(run: Commands) -> None:
    shown = rows(run.json("status", status=1, HASHDB_URL="http://hashdb.example"))
    assert shown["address"]["value"] == "http://hashdb.example, without TLS: others can read the key"
    assert shown["key"]["error"].startswith("HASHDB_KEY: is not set")


def test_a_socket_is_asked_without_a_key() -> None:
    configuration = Configuration(Path("hashdb.toml"), {}, {"url": SettingValue("unix:/run/hashdb.sock", "HASHDB_URL")})
    *_, key = islice(status._check(configuration), 3)
    assert (key.name, key.value, key.setting, key.error) == ("key", "none; a socket needs none", "", "")
