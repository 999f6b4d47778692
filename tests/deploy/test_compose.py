"""compose.yaml, the unit and the image name commands, settings and files that there are."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml

from hashdb.domain.accounts.members import Scope
from hashdb.settings import Settings
from scripts import docs, image
from tests.serving import serving
from tests.snippets import ROOT

COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("hashdb:")}
SETTINGS = {f"HASHDB_{name.upper()}" for name in Settings.model_fields}
UNITS = (
    "hashdb.service",
    "hashdb-backup.service",
    "hashdb-sidecar.service",
    "hashdb-monitor.service",
    "hashdb-witness.service",
)


def options(words: list[str]) -> set[str]:
    """The options that a command of ours takes. Fails where there is no such command."""
    for known, command in docs.walk():
        if words[: len(known)] == list(known):
            return {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    raise AssertionError(words)


def given(name: str) -> list[str]:
    """The command of ours that a service runs, be it in a shell."""
    command: list[str] = OURS[name]["command"]
    if command[0] == "hashdb":
        return command
    (found,) = re.findall(r"\bhashdb [^&;|]+", command[-1])
    return str(found).split()


def test_every_service_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        pinned = "" if name in OURS else "@sha256:[0-9a-f]{64}"
        assert re.fullmatch(rf"[\w./-]+:v?\d[\w.-]*{pinned}", service["image"]), "an image that stays"
        assert "healthcheck" in service
        assert "privileged" not in service and "docker.sock" not in str(service)


def test_only_the_proxy_is_open_to_other_machines() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    console = "${HASHDB_CONSOLE_BIND:-127.0.0.1:8444}:8444"
    assert ports == {"proxy": ["443:8443", console], "grafana": ["127.0.0.1:3000:3000"]}
    assert COMPOSE["networks"]["store"] == COMPOSE["networks"]["watch"] == {"internal": True}


@pytest.mark.parametrize("name", OURS)
def test_what_runs_of_ours_has_commands_options_and_settings_that_there_are(name: str) -> None:
    command = given(name)
    assert {word for word in command if word.startswith("--")} <= options(command)
    assert set(OURS[name]["environment"]) <= SETTINGS
    secrets = set(OURS[name]["secrets"])
    for path in re.findall(r"/run/secrets/(\w+)", str(OURS[name]["environment"])):
        assert path in secrets


def test_the_settings_of_the_replicas_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = OURS["web-1"]["env_file"]
    assert (first, second) == ("./deploy/defaults.env", {"path": "./deploy/settings.env", "required": False})
    for line in (ROOT / "deploy" / "defaults.env").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    for name, value in OURS["web-1"]["environment"].items():
        filled = re.sub(r"\$\{HASHDB_HOST[^}]*\}", "hashes.example", value)
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", filled))
    settings = Settings.read()
    assert settings.rate_limit.keys() == {None, Scope.CONTRIBUTE} and settings.rate_limit_address is not None
    assert settings.two_persons and settings.flood_cap is not None
    assert settings.console_url == "https://hashes.example:8444"
    assert settings.certificate is not None and settings.certificate.name in OURS["web-1"]["secrets"]
    assert (settings.behind_tls, settings.proxies, settings.accept_media) == (True, 1, False)
    assert settings.signing_key.is_relative_to("/var/lib/hashdb-key")


def test_the_replicas_share_the_key_which_one_service_makes_before_them() -> None:
    assert "key:/var/lib/hashdb-key" in OURS["upgrade"]["volumes"]
    assert "--with-key" in OURS["upgrade"]["command"]
    homes = set()
    for name in ("web-1", "web-2"):
        home, key = OURS[name]["volumes"]
        assert key == "key:/var/lib/hashdb-key:ro"
        assert OURS[name]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
        homes.add(home)
    assert len(homes) == 2


def test_the_backups_are_written_where_no_database_is_and_by_programs_of_the_servers_version() -> None:
    assert {"--keep", "--verify", "--into"} <= set(given("backup"))
    folder = given("backup")[given("backup").index("--into") + 1]
    assert f"backups:{folder}" in OURS["backup"]["volumes"] and folder in (ROOT / "Dockerfile").read_text("utf-8")
    assert folder in OURS["backup"]["healthcheck"]["test"][1]
    (server,) = re.findall(r"^postgres:(\d+)\.", SERVICES["db"]["image"])
    assert f" postgresql-client-{server} " in (ROOT / "Dockerfile").read_text("utf-8")
    assert f"/usr/lib/postgresql/{server}/bin" in (ROOT / "Dockerfile").read_text("utf-8")


def test_every_volume_network_secret_and_file_is_there() -> None:
    for service in SERVICES.values():
        for file in service.get("env_file", ()):
            assert not isinstance(file, str) or (ROOT / file).exists()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
        assert set(service.get("depends_on", ())) <= SERVICES.keys()


def test_prometheus_asks_the_replicas_on_their_port() -> None:
    asked = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    (targets,) = (job["static_configs"][0]["targets"] for job in asked["scrape_configs"])
    port = OURS["web-1"]["environment"]["HASHDB_METRICS_PORT"]
    assert targets == [f"{name}:{port}" for name in OURS if name.startswith("web-")]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_the_secrets_are_made_once_for_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    words = [str(ROOT / "deploy" / "make-secrets"), "hashes.example", str(folder)]
    for _ in range(2):
        subprocess.run(words, check=True, capture_output=True, timeout=30)
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    # A certificate is no secret, and the service reads when it expires.
    assert modes.pop("tls_crt") == 0o644 and set(modes.values()) == {0o600}
    assert made["pgpass"] == b"db:5432:hashdb:hashdb:" + made["db_password"]
    subprocess.run(words, check=True, capture_output=True, timeout=30)
    assert made == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_image_is_read_as_it_is_written() -> None:
    build, last = image.stages((ROOT / "Dockerfile").read_text("utf-8"))
    assert [one.word for one in build][:2] == ["FROM", "RUN"]
    words = [one.word for one in last]
    assert words.index("USER") < words.index("CMD") and "HEALTHCHECK" in words
    command = image.words_of(last[words.index("CMD")].text)
    assert {word for word in command if word.startswith("--")} <= options(command)
    assert image.environment(last).keys() & SETTINGS == {"HASHDB_HOME"}


def test_the_checks_of_health_tell_a_service_that_runs_from_none(tmp_path: Path) -> None:
    _, last = image.stages((ROOT / "Dockerfile").read_text("utf-8"))
    checks = [
        image.words_of(image.health(last)),
        *(OURS[name]["healthcheck"]["test"][1:] for name in ("web-1", "web-2")),
    ]
    with serving(tmp_path / "home", workers=1) as url:
        port = str(httpx.URL(url).port)
        for words in checks:
            asked = [word.replace("8000", port) for word in words]
            assert subprocess.run(asked, timeout=20, check=False).returncode == 0
    assert subprocess.run(asked, timeout=20, check=False, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_a_command_that_there_is_with_settings_that_there_are(name: str) -> None:
    unit = (ROOT / "deploy" / name).read_text("utf-8")
    (started,) = re.findall(r"^ExecStart=\S+/(hashdb .*)$", unit, re.MULTILINE)
    assert {word for word in started.split() if word.startswith("--")} <= options(started.split())
    example = (ROOT / "deploy" / "hashdb.env").read_text("utf-8")
    named = set(re.findall(r"\b(HASHDB_\w+)=", unit + example))
    assert named and named <= SETTINGS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze (apt install systemd)")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units_and_finds_them_confined(tmp_path: Path, name: str) -> None:
    unit, timer = tmp_path / name, tmp_path / "hashdb-backup.timer"
    for path in (*(tmp_path / one for one in UNITS), timer):
        text = (ROOT / "deploy" / path.name).read_text("utf-8")
        # It must name a program that is here.
        path.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit), str(timer)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert str(tmp_path) not in verified.stderr and "hashdb" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    exposed = [one for one in json.loads(judged.stdout) if one["set"] is False]
    total = sum(float(one["exposure"] or 0) for one in exposed)
    assert total < 2.0, [(one["name"], one["exposure"]) for one in exposed]
