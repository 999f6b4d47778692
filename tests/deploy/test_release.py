"""Releases: the checks of the release script, and the workflows that test a change and publish a release."""

from __future__ import annotations

import configparser
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hashdb import __version__
from scripts import release
from tests.snippets import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
WORKFLOW: Any = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text("utf-8"))
PUBLICATION: Any = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text("utf-8"))
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", "utf-8")
EXTRAS_OF_THE_IMAGE = ("server", "hashes", "postgres", "otel", "redis", "video")
CHANGES = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_a_development_version_is_not_released() -> None:
    assert release.faults("0.1.0.dev0", "## 0.1.0.dev0 (2026-12-01)\n", changed="") == [
        "0.1.0.dev0 is a version of development"
    ]


def test_a_release_needs_a_dated_changelog_entry_and_no_uncommitted_changes() -> None:
    assert release.faults("0.1.0", "## 0.1.0 (2026-12-01)\n", changed="") == []
    assert release.faults("0.1.0", "## Unreleased: 0.1.0.dev0\n", changed=" M x") == [
        "CHANGELOG.md has no part `## 0.1.0 (<date>)`",
        "CHANGELOG.md has a part that is unreleased",
        "there are changes that are not committed",
    ]


def test_a_release_needs_the_address_of_the_repository() -> None:
    config = "    Source = https://git.example/hashdb\n"
    assert release.faults("0.1.0", "## 0.1.0 (2026-12-01)\n", changed="", config=config) == [
        "setup.cfg has no address of the repository: project_urls has .example"
    ]


def test_a_wheel_must_fit_every_python_and_have_no_relative_links() -> None:
    name = "hashdb_exchange-0.2.0-cp311-abi3-{}.whl"
    for platform in ("manylinux_2_17_x86_64.manylinux2014_x86_64", "macosx_11_0_arm64"):
        assert release.wheel_faults(name.format(platform), "Name: x\n\n[a](https://b) [c](#d)") == []
    assert release.wheel_faults(name.format("linux_x86_64"), "Name: x\n\n[a](b.md)") == [
        "hashdb_exchange-0.2.0-cp311-abi3-linux_x86_64.whl is no wheel for every Python from 3.11 on",
        "the description has a relative link: b.md",
    ]
    assert release.wheel_faults("hashdb_exchange-0.2.0-cp311-cp311-manylinux_2_17_x86_64.whl", "")


def test_the_description_on_the_index_links_to_the_repository() -> None:
    setup = runpy.run_path(str(ROOT / "setup.py"))
    text = '![a](b.png) [c](docs/d.md) [e](#f) [g](https://h.example) <img src="i.png">'
    assert setup["readme_for_index"](text, "https://git.example/x", "v1") == (
        "![a](https://git.example/x/raw/v1/b.png) [c](https://git.example/x/blob/v1/docs/d.md) [e](#f)"
        ' [g](https://h.example) <img src="https://git.example/x/raw/v1/i.png">'
    )
    name = "hashdb_exchange-1-cp311-abi3-macosx_11_0_arm64.whl"
    assert release.wheel_faults(name, f"\n{setup['long_description']()}") == []


def test_no_page_says_pip_install_hashdb_before_the_publication() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "hashdb").rglob("*.py")]
    for page in pages:
        if page.name != "0042-the-distribution-is-called-hashdb-server.md":
            assert not re.search(r"pip install (-\S+ )*['\"]?hashdb", page.read_text("utf-8")), page


def test_the_wheel_has_the_same_name_everywhere() -> None:
    name = CONFIG["metadata"]["name"]
    assert name.replace("-", "_") == release.NAME
    assert f"--find-links /opt/wheel {name} " in (ROOT / "Dockerfile").read_text("utf-8")
    assert name in (ROOT / ".github" / "workflows" / "release.yaml").read_text("utf-8")


def test_the_first_changelog_entry_is_for_the_current_version() -> None:
    (first, *_) = re.findall(r"^## (.+)$", CHANGES, re.MULTILINE)
    assert first == f"Unreleased: {__version__}" or re.fullmatch(
        rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", first
    )


def test_an_unknown_option_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["--fast"]) == 2
    assert "--fast" in capsys.readouterr().err


def test_sha256sum_accepts_the_checksums(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    for _ in range(2):
        release.write_checksums(tmp_path)
    result = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=False)
    assert result.stdout == b"a.tar.gz: OK\nb.whl: OK\n"


def test_the_workflow_runs_all_checks_on_the_oldest_and_newest_python() -> None:
    checks = WORKFLOW["jobs"]["checks"]
    assert checks["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert any(step.get("run", "").endswith(".ci/run") for step in checks["steps"])
    # The runner is not root, so the checks that need root run with sudo.
    assert any("sudo" in step.get("run", "") and "scripts/faults --quick" in step["run"] for step in checks["steps"])
    assert WORKFLOW["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_names_its_version(workflow: Path) -> None:
    lines = re.findall(r"^ *(?:- )?uses: (.*)$", workflow.read_text("utf-8"), re.MULTILINE)
    assert lines
    for line in lines:
        assert re.fullmatch(r"(actions|pypa)/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_only_installed_wheels_are_published_and_without_a_stored_token() -> None:
    jobs = PUBLICATION["jobs"]
    assert PUBLICATION["permissions"] == {"contents": "read"}
    assert {name for name, job in jobs.items() if "permissions" in job} == {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write", "attestations": "write"}
    assert set(jobs["publish"]["needs"]) == {"source", "install"} and jobs["install"]["needs"] == "wheels"
    assert "ref_type == 'tag'" in jobs["publish"]["if"]
    # The job that publishes runs no code of the repository, and has no secret.
    assert not any("checkout" in step.get("uses", "") for step in jobs["publish"]["steps"])
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text("utf-8")
    assert "secrets." not in text and "password" not in text
    assert jobs["install"]["strategy"]["matrix"]["runner"] == jobs["wheels"]["strategy"]["matrix"]["runner"]
    assert jobs["install"]["strategy"]["matrix"]["python"] == WORKFLOW["jobs"]["checks"]["strategy"]["matrix"]["python"]


def test_the_workflow_installs_every_program_that_the_checks_need() -> None:
    needed = set(re.findall(r"missing\+=\(([\w+-]+)\)", (ROOT / ".ci" / "run").read_text("utf-8")))
    # There, Python and Chromium are installed in other ways. promtool is in the package prometheus.
    steps = str(WORKFLOW["jobs"]["checks"]["steps"]).replace("prometheus ", "promtool ")
    assert {name for name in needed - {"python3-dev", "python3-venv"} if name not in steps} == set()


def test_pin_images_pins_every_image_and_reports_one_without_a_digest(tmp_path: Path) -> None:
    for name in ("scripts/pin-images", "Dockerfile", "compose.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    check = [str(tmp_path / "scripts" / "pin-images"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0
    compose = tmp_path / "compose.yaml"
    text = compose.read_text("utf-8")
    compose.write_text(re.sub(r"(postgres:[\w.-]+)@sha256:\w+", r"\1", text))
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and re.search(r"without a digest: postgres:[\d.]+: run", result.stderr)
    # The script writes the digest that the registry answers for each image, and changes nothing else.
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


def test_the_image_installs_the_pinned_packages_by_hash() -> None:
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE))
    for name in ("requirements.txt", "requirements-build.txt"):
        text = (ROOT / "deploy" / name).read_text("utf-8")
        required = re.findall(r"^([\w.-]+)==(\S+)((?:[^\n]*\\\n)+[^\n]*)", text, re.MULTILINE)
        assert required and all("--hash=sha256:" in rest for _, _, rest in required)
        assert {(package, version) for package, version, _ in required} <= pinned, "run scripts/requirements"
        assert f"--require-hashes --requirement deploy/{name}" in (ROOT / "Dockerfile").read_text("utf-8")
    # All direct dependencies are listed; the image checks the others by `pip check`.
    extras = CONFIG["options.extras_require"]
    needed = [CONFIG["options"]["install_requires"], *(extras[name] for name in EXTRAS_OF_THE_IMAGE)]
    listed = set(re.findall(r"^([\w.-]+)==", (ROOT / "deploy" / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    for name in re.findall(r"^\s*([\w-]+)", "\n".join(needed), re.MULTILINE):
        assert name in listed, f"{name}: run scripts/requirements"
    assert "bin/python check" in (ROOT / "Dockerfile").read_text("utf-8")
    # The image downloads nothing else: it builds and installs the wheel from local files.
    installs = re.findall(r"-m pip .*?(?:install|wheel) [^&]*", (ROOT / "Dockerfile").read_text("utf-8"))
    assert len(installs) == 4 and all(
        "--require-hashes" in install or "--no-index --no-deps" in install for install in installs
    )


def test_the_release_job_fails_while_an_image_has_no_digest() -> None:
    assert any(step.get("run") == "scripts/pin-images --check" for step in WORKFLOW["jobs"]["release"]["steps"])
