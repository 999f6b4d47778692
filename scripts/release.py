"""A release: wheel and sdist, each installed and tried in an empty environment, with SBOM, audit and checksums.

`scripts/release` takes a version that is none of development, told of in CHANGELOG.md, from a tree without changes;
`--dev` takes whatever there is, `--strict` fails where the audit's database cannot be reached. All is in dist/.
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
from collections.abc import Sequence
from pathlib import Path

from hashdb import __version__

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
EMPTY = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HASHDB_", "VIRTUAL_ENV"))}
"""An environment in which nothing of this folder is found."""


class Unfit(Exception):
    """Why there is no release, as a sentence."""


def faults(version: str, changes: str, *, changed: str) -> list[str]:
    """What keeps a version from being released: itself, the text of CHANGELOG.md, what is not committed."""
    found = []
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        found.append(f"{version} is a version of development")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changes, re.MULTILINE):
        found.append(f"CHANGELOG.md has no part `## {version} (<date>)`")
    if re.search(r"^## Unreleased", changes, re.MULTILINE):
        found.append("CHANGELOG.md has a part that is unreleased")
    if changed:
        found.append("there are changes that are not committed")
    return found


def main(arguments: Sequence[str]) -> int:
    """Make what is released; 0 where all of it holds."""
    if unknown := set(arguments) - {"--dev", "--strict"}:
        print(f"scripts/release [--dev] [--strict], not {' '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    try:
        if "--dev" not in arguments:
            changed = _output("git", "status", "--porcelain")
            if found := faults(__version__, (ROOT / "CHANGELOG.md").read_text("utf-8"), changed=changed):
                raise Unfit("; ".join(found))
        _make("--strict" in arguments)
    except (Unfit, subprocess.CalledProcessError) as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


def _make(strict: bool) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    print(f"building {__version__}", flush=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", DIST], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    built = sorted(DIST.iterdir())
    if [path.suffix for path in built] != [".whl", ".gz"] and [path.suffix for path in built] != [".gz", ".whl"]:
        raise Unfit(f"built were {', '.join(path.name for path in built)}")
    for path in built:
        with tempfile.TemporaryDirectory(prefix="hashdb-release-") as folder:
            python = _installed(path, Path(folder))
            if path.suffix == ".whl":
                _list(python)
                _audit(python, strict)
    sums(DIST)


def _installed(built: Path, folder: Path) -> Path:
    """The Python of an empty environment in which what was built is installed, and does the demo."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, env=EMPTY)
    program = folder / "venv" / "bin"
    subprocess.run(
        [program / "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt", built],
        check=True,
        cwd=folder,
        env=EMPTY,
    )
    # From an empty folder: what is tried is what was installed.
    told = _output(program / "hashdb", "--version", cwd=folder)
    if __version__ not in told:
        raise Unfit(f"{built.name} says that it is {told}")
    # Its exit tells whether all of it held.
    _output(program / "hashdb", "demo", "--once", "--json", cwd=folder)
    print(f"{built.name}: {told}; the demo holds", flush=True)
    return program / "python"


def _list(python: Path) -> None:
    """The bill of materials of the wheel: all that it installs, by CycloneDX."""
    target = DIST / f"hashdb-{__version__}.cdx.json"
    words = ["-m", "cyclonedx_py", "environment", "--output-format", "JSON", "--output-file", str(target), str(python)]
    subprocess.run([sys.executable, *words], check=True, stderr=subprocess.DEVNULL)
    print(f"{target.name}: {len(json.loads(target.read_text('utf-8'))['components'])} packages", flush=True)


def _audit(python: Path, strict: bool) -> None:
    """Whether any package that the wheel installs has a known weakness. Raises Unfit."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    words = ["-m", "pip_audit", "--path", str(site), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    try:
        audited = json.loads(done.stdout)["dependencies"]
    except ValueError:
        sentence = f"the database of weaknesses cannot be reached: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
        if strict:
            raise Unfit(sentence) from None
        print(sentence, flush=True)
        return
    weak = [f"{one['name']} {one['version']}: {bug['id']}" for one in audited for bug in one.get("vulns", ())]
    if weak:
        raise Unfit("; ".join(weak))
    print(f"audit: {len(audited)} packages without a known weakness", flush=True)


def sums(folder: Path) -> None:
    """Write SHA256SUMS of all else in a folder, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _output(*words: str | Path, cwd: Path = ROOT) -> str:
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True, env=EMPTY).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
