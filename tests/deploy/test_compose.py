"""compose.yaml, the units and the image use existing commands, settings and files, and are confined."""

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
HASHDB_SERVICES = {name: service for name, service in SERVICES.items() if service["image"].startswith("hashdb:")}
SETTINGS = {f"HASHDB_{name.upper()}" for name in Settings.model_fields}
UNITS = (
    "hashdb.service",
    "hashdb-backup.service",
    "hashdb-sidecar.service",
    "hashdb-monitor.service",
    "hashdb-witness.service",
)


def options(words: list[str]) -> set[str]:
    """The options of a command of hashdb. Fails if the command does not exist."""
    for path, command in docs.walk():
        if words[: len(path)] == list(path):
            return {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    raise AssertionError(words)


def hashdb_command(name: str) -> list[str]:
    """The command of hashdb that a service runs, directly or in a shell."""
    command: list[str] = HASHDB_SERVICES[name]["command"]
    if command[0] == "hashdb":
        return command
    (text,) = re.findall(r"\bhashdb [^&;|]+", command[-1])
    return str(text).split()


def test_every_service_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        digest = "" if name in HASHDB_SERVICES else "@sha256:[0-9a-f]{64}"
        assert re.fullmatch(rf"[\w./-]+:v?\d[\w.-]*{digest}", service["image"]), "a pinned image"
        assert "healthcheck" in service
        assert "privileged" not in service and "docker.sock" not in str(service)


def test_only_the_proxy_is_reachable_from_other_machines() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    console = "${HASHDB_CONSOLE_BIND:-127.0.0.1:8444}:8444"
    assert ports == {"proxy": ["443:8443", console], "grafana": ["127.0.0.1:3000:3000"]}
    assert COMPOSE["networks"]["store"] == COMPOSE["networks"]["watch"] == {"internal": True}


@pytest.mark.parametrize("name", HASHDB_SERVICES)
def test_a_service_of_hashdb_uses_existing_options_settings_and_secrets(name: str) -> None:
    command = hashdb_command(name)
    assert {word for word in command if word.startswith("--")} <= options(command)
    assert set(HASHDB_SERVICES[name]["environment"]) <= SETTINGS
    secrets = set(HASHDB_SERVICES[name]["secrets"])
    for path in re.findall(r"/run/secrets/(\w+)", str(HASHDB_SERVICES[name]["environment"])):
        assert path in secrets


def test_the_settings_of_the_replicas_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = HASHDB_SERVICES["web-1"]["env_file"]
    assert (first, second) == ("./deploy/defaults.env", {"path": "./deploy/settings.env", "required": False})
    for line in (ROOT / "deploy" / "defaults.env").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    for name, value in HASHDB_SERVICES["web-1"]["environment"].items():
        with_host = re.sub(r"\$\{HASHDB_HOST[^}]*\}", "hashes.example", value)
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", with_host))
    settings = Settings.read()
    assert settings.rate_limit.keys() == {None, Scope.CONTRIBUTE} and settings.rate_limit_address is not None
    assert settings.two_persons and settings.flood_cap is not None
    assert settings.console_url == "https://hashes.example:8444"
    assert settings.certificate is not None and settings.certificate.name in HASHDB_SERVICES["web-1"]["secrets"]
    assert (settings.behind_tls, settings.proxies, settings.accept_media) == (True, 1, False)
    assert settings.signing_key.is_relative_to("/var/lib/hashdb-key")


def test_one_service_creates_the_key_that_the_replicas_share() -> None:
    assert "key:/var/lib/hashdb-key" in HASHDB_SERVICES["upgrade"]["volumes"]
    assert "--with-key" in HASHDB_SERVICES["upgrade"]["command"]
    homes = set()
    for name in ("web-1", "web-2"):
        home, key = HASHDB_SERVICES[name]["volumes"]
        assert key == "key:/var/lib/hashdb-key:ro"
        assert HASHDB_SERVICES[name]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
        homes.add(home)
    assert len(homes) == 2


def test_backups_have_their_own_volume_and_the_postgresql_version_of_the_server() -> None:
    assert {"--keep", "--verify", "--into"} <= set(hashdb_command("backup"))
    folder = hashdb_command("backup")[hashdb_command("backup").index("--into") + 1]
    assert f"backups:{folder}" in HASHDB_SERVICES["backup"]["volumes"]
    assert folder in (ROOT / "Dockerfile").read_text("utf-8")
    assert folder in HASHDB_SERVICES["backup"]["healthcheck"]["test"][1]
    (server,) = re.findall(r"^postgres:(\d+)\.", SERVICES["db"]["image"])
    assert f" postgresql-client-{server} " in (ROOT / "Dockerfile").read_text("utf-8")
    assert f"/usr/lib/postgresql/{server}/bin" in (ROOT / "Dockerfile").read_text("utf-8")


def test_every_volume_network_secret_and_file_exists() -> None:
    for service in SERVICES.values():
        for file in service.get("env_file", ()):
            assert not isinstance(file, str) or (ROOT / file).exists()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
        assert set(service.get("depends_on", ())) <= SERVICES.keys()


def test_prometheus_scrapes_the_metrics_port_of_each_replica() -> None:
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    (targets,) = (job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"])
    port = HASHDB_SERVICES["web-1"]["environment"]["HASHDB_METRICS_PORT"]
    assert targets == [f"{name}:{port}" for name in HASHDB_SERVICES if name.startswith("web-")]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_make_secrets_creates_private_files_and_never_replaces_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    words = [str(ROOT / "deploy" / "make-secrets"), "hashes.example", str(folder)]
    for _ in range(2):
        subprocess.run(words, check=True, capture_output=True, timeout=30)
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert contents.keys() == COMPOSE["secrets"].keys()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    # A certificate is not secret, and the service reads its expiry date.
    assert modes.pop("tls_crt") == 0o644 and set(modes.values()) == {0o600}
    assert contents["pgpass"] == b"db:5432:hashdb:hashdb:" + contents["db_password"]
    subprocess.run(words, check=True, capture_output=True, timeout=30)
    assert contents == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_image_has_a_user_a_health_check_and_a_valid_command() -> None:
    build, last = image.stages((ROOT / "Dockerfile").read_text("utf-8"))
    assert [instruction.word for instruction in build][:2] == ["FROM", "RUN"]
    words = [instruction.word for instruction in last]
    assert words.index("USER") < words.index("CMD") and "HEALTHCHECK" in words
    command = image.command_words(last[words.index("CMD")].text)
    assert {word for word in command if word.startswith("--")} <= options(command)
    assert image.environment(last).keys() & SETTINGS == {"HASHDB_HOME"}


def test_the_health_checks_pass_while_the_service_runs_and_fail_after_it(tmp_path: Path) -> None:
    _, last = image.stages((ROOT / "Dockerfile").read_text("utf-8"))
    first, second = (HASHDB_SERVICES[name]["healthcheck"]["test"][1:] for name in ("web-1", "web-2"))
    assert first == second
    with serving(tmp_path / "home", workers=1) as url:
        port = str(httpx.URL(url).port)
        checks = [
            [word.replace("8000", port) for word in words] for words in (image.command_words(image.health(last)), first)
        ]
        for check in checks:
            assert subprocess.run(check, timeout=20, check=False).returncode == 0
    for check in checks:
        assert subprocess.run(check, timeout=20, check=False, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_uses_an_existing_command_and_existing_settings(name: str) -> None:
    unit = (ROOT / "deploy" / name).read_text("utf-8")
    (command,) = re.findall(r"^ExecStart=\S+/(hashdb .*)$", unit, re.MULTILINE)
    assert {word for word in command.split() if word.startswith("--")} <= options(command.split())
    example = (ROOT / "deploy" / "hashdb.env").read_text("utf-8")
    settings = set(re.findall(r"\b(HASHDB_\w+)=", unit + example))
    assert settings and settings <= SETTINGS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze (apt install systemd)")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_each_unit_and_rates_it_as_confined(tmp_path: Path, name: str) -> None:
    unit, timer = tmp_path / name, tmp_path / "hashdb-backup.timer"
    for path in (*(tmp_path / unit_name for unit_name in UNITS), timer):
        text = (ROOT / "deploy" / path.name).read_text("utf-8")
        # systemd requires a program that exists on this machine.
        path.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit), str(timer)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert str(tmp_path) not in verified.stderr and "hashdb" not in verified.stderr, verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    exposed = [check for check in json.loads(rated.stdout) if check["set"] is False]
    total = sum(float(check["exposure"] or 0) for check in exposed)
    assert total < 2.0, [(check["name"], check["exposure"]) for check in exposed]
