"""What is installed: prints tables, and writes docs/benchmarks/install.md and install.json.

    scripts/bench install [--python PYTHON]… [--quick]

The base and each extra are installed into an empty environment, from this folder and by constraints.txt.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks import report
from scripts.benchmarks.report import Target

EXTRAS = ("", "audit", "video", "hashes", "sidecar", "server", "server,hashes,postgres,otel,redis,video")
"""What is installed together; the last is what the image has."""
MOST_PACKAGES, MOST_MEGABYTES = 15, 80
_NOT_COUNTED = re.compile(r"(pip|setuptools|pkg_resources|_distutils_hack|distutils-precedence)\b")
_HEADS = ("installed", "packages", "MB", "MB with .pyc", "MB more than the base")
_SHARED = {"numpy.libs": "numpy", "PIL": "pillow", "pillow.libs": "pillow"}
"""Folders that do not have the name of their package."""


class Installed(NamedTuple):
    """What an environment holds, beside pip and setuptools."""

    packages: list[str]
    parts: dict[str, int]
    """The octets of each top folder or file, without compiled modules."""
    compiled: int
    """The octets of all, with compiled modules (.pyc)."""

    @property
    def megabytes(self) -> float:
        """All parts together."""
        return sum(self.parts.values()) / 1e6


def main() -> None:
    """Install each, and write what there is."""
    parser = argparse.ArgumentParser(prog="scripts/bench install", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", help="install with this Python; may be repeated")
    parser.add_argument("--quick", action="store_true", help="only the base; writes no page")
    arguments = parser.parse_args()
    extras = EXTRAS[:1] if arguments.quick else EXTRAS
    found = {
        _version(python): {extra: _installed(python, extra) for extra in extras}
        for python in arguments.python or [sys.executable]
    }
    lines = [line for version, by_extra in found.items() for line in _tables(version, by_extra)]
    if arguments.quick:
        print("\n".join(lines))
        return
    machine = report.machine("numpy", "pillow", "pydantic")
    head = [
        "# What is installed, measured",
        "",
        "Written by `./scripts/bench install`; do not edit.",
        f"The packages have the versions of `constraints.txt`, on {machine['system']}.",
        "Each row is an empty environment: the folder `site-packages` without pip and setuptools, in 1,000,000 octets.",
        "",
        "## Targets",
        *report.targets([target for version, by_extra in found.items() for target in _targets(version, by_extra[""])]),
    ]
    results = {
        version: {extra or "base": one._asdict() for extra, one in by_extra.items()}
        for version, by_extra in found.items()
    }
    report.write("install", head + lines, {"machine": machine, "installed": results})


def _version(python: str) -> str:
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _installed(python: str, extra: str) -> Installed:
    """Install hashdb with these extras into an empty environment, and measure it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        folder = Path(name)
        # A build leaves files beside what it builds.
        ignored = shutil.ignore_patterns(".*", "build", "dist", "*.so", "*.egg-info", "hashdb-data")
        shutil.copytree(report.ROOT, folder / "code", ignore=ignored)
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True, env=kept)
        program = folder / "venv" / "bin" / "python"
        what = str(folder / "code") + (f"[{extra}]" if extra else "")
        options = ["--quiet", "--disable-pip-version-check", "--constraint", str(report.ROOT / "constraints.txt")]
        subprocess.run([program, "-m", "pip", "install", *options, what], check=True, env=kept)
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        sizes = {top.name: _size(top) for top in site.iterdir() if not _NOT_COUNTED.match(top.name)}
        packages = sorted(name.partition("-")[0] for name in sizes if name.endswith(".dist-info"))
        return Installed(packages, {name: size for name, (size, _) in sizes.items()}, sum(map(sum, sizes.values())))


def _size(top: Path) -> tuple[int, int]:
    """The octets of a file or of all files in a folder, but compiled modules; and of these."""
    sources = compiled = 0
    for path in [top] if top.is_file() else top.rglob("*"):
        if path.is_file() and path.suffix == ".pyc":
            compiled += path.stat().st_size
        elif path.is_file():
            sources += path.stat().st_size
    return sources, compiled


def _targets(version: str, base: Installed) -> list[Target]:
    return [
        report.at_most(f"the base and hashdb, with Python {version}", MOST_PACKAGES, len(base.packages), "packages"),
        report.at_most(f"the base, without .pyc, with Python {version}", MOST_MEGABYTES, base.megabytes, "MB"),
    ]


def _tables(version: str, by_extra: Mapping[str, Installed]) -> list[str]:
    base = by_extra[""]
    rows = [
        [
            f"`[{extra}]`" if extra else "the base",
            len(one.packages),
            f"{one.megabytes:.0f}",
            f"{one.compiled / 1e6:.0f}",
            f"{one.megabytes - base.megabytes:.0f}" if extra else "",
        ]
        for extra, one in by_extra.items()
    ]
    parts: dict[str, int] = {}
    for name, size in base.parts.items():
        owner = _SHARED.get(name, re.split(r"-[\d.]", name)[0].removesuffix(".py").lower().replace("_", "-"))
        parts[owner] = parts.get(owner, 0) + size
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return [
        f"## Python {version}",
        *report.table(_HEADS, rows),
        "The base, by size: "
        + ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest if size >= 500_000)
        + ".",
        "",
    ]


if __name__ == "__main__":
    main()
