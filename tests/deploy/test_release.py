"""What is released, and by which checks: the script, and the workflow that does what .ci/run does."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hashdb import __version__
from scripts import release
from tests.snippets import ROOT

WORKFLOW: Any = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text("utf-8"))
CHANGES = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_a_version_of_development_is_not_released() -> None:
    assert release.faults("0.1.0.dev0", "## 0.1.0.dev0 (2026-12-01)\n", changed="") == [
        "0.1.0.dev0 is a version of development"
    ]


def test_what_is_released_is_told_in_the_changes_and_committed() -> None:
    assert release.faults("0.1.0", "## 0.1.0 (2026-12-01)\n", changed="") == []
    assert release.faults("0.1.0", "## Unreleased: 0.1.0.dev0\n", changed=" M x") == [
        "CHANGELOG.md has no part `## 0.1.0 (<date>)`",
        "CHANGELOG.md has a part that is unreleased",
        "there are changes that are not committed",
    ]


def test_the_changes_are_of_the_version_that_there_is() -> None:
    (first, *_) = re.findall(r"^## (.+)$", CHANGES, re.MULTILINE)
    assert first == f"Unreleased: {__version__}" or re.fullmatch(
        rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", first
    )


def test_an_option_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["--fast"]) == 2
    assert "--fast" in capsys.readouterr().err


def test_the_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    for _ in range(2):
        release.sums(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout == b"a.tar.gz: OK\nb.whl: OK\n"


def test_the_workflow_runs_what_a_fresh_machine_runs_on_both_ends_of_the_versions() -> None:
    checks = WORKFLOW["jobs"]["checks"]
    assert checks["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert any(step.get("run", "").endswith(".ci/run") for step in checks["steps"])
    # The runner is not root, and what takes root is part of it.
    assert any("sudo" in step.get("run", "") and "scripts/faults --quick" in step["run"] for step in checks["steps"])
    for job in WORKFLOW["jobs"].values():
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", step.get("uses", "actions/x@v1.0.0"))
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_every_program_that_the_checks_take_is_named_in_the_workflow() -> None:
    wanted = set(re.findall(r"missing\+=\(([\w+-]+)\)", (ROOT / ".ci" / "run").read_text("utf-8")))
    # Python and Chromium come another way there; promtool is in the package prometheus.
    given = str(WORKFLOW["jobs"]["checks"]["steps"]).replace("prometheus ", "promtool ")
    assert {name for name in wanted - {"python3-dev", "python3-venv"} if name not in given} == set()


def test_every_image_is_pinned_by_digest_and_one_that_is_not_is_named(tmp_path: Path) -> None:
    for name in ("scripts/pin-images", "Dockerfile", "compose.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    check = [str(tmp_path / "scripts" / "pin-images"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0
    compose = tmp_path / "compose.yaml"
    text = compose.read_text("utf-8")
    compose.write_text(re.sub(r"(postgres:[\w.-]+)@sha256:\w+", r"\1", text))
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.search(r"without a digest: postgres:[\d.]+: run", done.stderr)
    # What a registry answers is written for each image, and nothing else is changed.
    docker, digest = tmp_path / "docker", "sha256:" + "ab" * 32
    docker.write_text(f"#!/bin/sh\necho {digest}\n")
    docker.chmod(0o755)
    subprocess.run(check[:1], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True, stdout=subprocess.DEVNULL)
    assert re.sub(r"sha256:\w+", "", compose.read_text("utf-8")) == re.sub(r"sha256:\w+", "", text)
    both = compose.read_text("utf-8") + (tmp_path / "Dockerfile").read_text("utf-8")
    assert set(re.findall(r"sha256:\w+", both)) == {digest}
    docker.write_text("#!/bin/sh\necho nothing\n")
    assert subprocess.run(
        check[:1], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False, capture_output=True
    ).returncode == 1  # fmt: skip


def test_the_image_installs_by_hash_what_the_constraints_say() -> None:
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE))
    for name in ("requirements.txt", "requirements-build.txt"):
        text = (ROOT / "deploy" / name).read_text("utf-8")
        wanted = re.findall(r"^([\w.-]+)==(\S+)((?:[^\n]*\\\n)+[^\n]*)", text, re.MULTILINE)
        assert wanted and all("--hash=sha256:" in rest for _, _, rest in wanted)
        assert {(one, version) for one, version, _ in wanted} <= pinned, "run scripts/requirements"
        assert f"--require-hashes --requirement deploy/{name}" in (ROOT / "Dockerfile").read_text("utf-8")
    # All that hashdb needs is there, and what that needs: the image checks it by `pip check`.
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    needed = [config["options"]["install_requires"], *(extras[name] for name in ("postgres", "otel", "redis"))]
    listed = set(re.findall(r"^([\w.-]+)==", (ROOT / "deploy" / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    for name in re.findall(r"^\s*([\w-]+)", "\n".join(needed), re.MULTILINE):
        assert name in listed, f"{name}: run scripts/requirements"
    assert "bin/python check" in (ROOT / "Dockerfile").read_text("utf-8")
    # Nothing else is fetched: the wheel is built, and installed, from what is there.
    installs = re.findall(r"-m pip .*?(?:install|wheel) [^&]*", (ROOT / "Dockerfile").read_text("utf-8"))
    assert len(installs) == 4 and all("--require-hashes" in one or "--no-index --no-deps" in one for one in installs)


def test_a_release_is_refused_while_an_image_has_no_digest() -> None:
    assert any(step.get("run") == "scripts/pin-images --check" for step in WORKFLOW["jobs"]["release"]["steps"])
