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

from hashdb.settings import Settings
from scripts import docs, image
from tests.serving import serving
from tests.snippets import ROOT

COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("hashdb:")}
SETTINGS = {f"HASHDB_{name.upper()}" for name in Settings.model_fields}
UNIT = (ROOT / "deploy" / "hashdb.service").read_text("utf-8")


def options(words: list[str]) -> set[str]:
    """The options that a command of ours takes. Fails where there is no such command."""
    for known, command in docs.walk():
        if words[: len(known)] == list(known):
            return {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    raise AssertionError(words)


def test_every_service_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", service["image"]), "a tag that stays"
        assert "healthcheck" in service
        assert "privileged" not in service and "docker.sock" not in str(service)


def test_only_the_proxy_is_open_to_other_machines() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"proxy": ["443:8443"], "grafana": ["127.0.0.1:3000:3000"]}
    assert COMPOSE["networks"]["store"] == COMPOSE["networks"]["watch"] == {"internal": True}


@pytest.mark.parametrize("name", OURS)
def test_what_runs_of_ours_has_commands_options_and_settings_that_there_are(name: str) -> None:
    command = OURS[name]["command"]
    assert {word for word in command if word.startswith("--")} <= options(command)
    assert set(OURS[name]["environment"]) <= SETTINGS
    secrets = set(OURS[name]["secrets"])
    for path in re.findall(r"/run/secrets/(\w+)", str(OURS[name]["environment"])):
        assert path in secrets


def test_the_settings_of_the_replicas_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS["web-1"]["environment"].items():
        filled = re.sub(r"\$\{HASHDB_HOST[^}]*\}", "hashes.example", value)
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", filled))
    settings = Settings.read()
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


def test_every_volume_network_secret_and_file_is_there() -> None:
    for service in SERVICES.values():
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
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
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


def test_the_unit_starts_a_command_that_there_is_with_settings_that_there_are() -> None:
    (started,) = re.findall(r"^ExecStart=\S+/(hashdb .*)$", UNIT, re.MULTILINE)
    assert {word for word in started.split() if word.startswith("--")} <= options(started.split())
    example = (ROOT / "deploy" / "hashdb.env").read_text("utf-8")
    named = set(re.findall(r"\b(HASHDB_\w+)=", UNIT + example))
    assert named and named <= SETTINGS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze (apt install systemd)")
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    unit = tmp_path / "hashdb.service"
    # It must name a program that is here.
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", UNIT, flags=re.MULTILINE))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert str(unit) not in verified.stderr and "hashdb.service:" not in verified.stderr
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
