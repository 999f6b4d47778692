"""Measure the installed packages and their size; write docs/benchmarks/install.md and install.json.

    scripts/bench install [--python PYTHON]… [--quick]

The base and each extra are installed into an empty environment, from this folder, with constraints.txt.
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
"""The extras that are installed together; the last row is that of the image."""
MOST_PACKAGES, MOST_MEGABYTES = 15, 80
_NOT_COUNTED = re.compile(r"(pip|setuptools|pkg_resources|_distutils_hack|distutils-precedence)\b")
_COLUMNS = ("installed", "packages", "MB", "MB with .pyc", "MB more than the base")
_OWNERS = {"numpy.libs": "numpy", "PIL": "pillow", "pillow.libs": "pillow"}
"""The package of each folder that has another name than its package."""


class Installed(NamedTuple):
    """The contents of an environment, without pip and setuptools."""

    packages: list[str]
    parts: dict[str, int]
    """The bytes of each top folder or file, without compiled modules."""
    compiled: int
    """The bytes of everything, with compiled modules (.pyc)."""

    @property
    def megabytes(self) -> float:
        """The size of all parts."""
        return sum(self.parts.values()) / 1e6


def main() -> None:
    """Install and measure each set of extras, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench install", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", help="install with this Python; may be repeated")
    parser.add_argument("--quick", action="store_true", help="measure only the base; write no page")
    arguments = parser.parse_args()
    extras = EXTRAS[:1] if arguments.quick else EXTRAS
    by_version = {
        _version(python): {extra: _install(python, extra) for extra in extras}
        for python in arguments.python or [sys.executable]
    }
    lines = [line for version, by_extra in by_version.items() for line in _tables(version, by_extra)]
    if arguments.quick:
        print("\n".join(lines))
        return
    machine = report.machine("numpy", "pillow", "pydantic")
    heading = [
        "# What is installed, measured",
        "",
        "Written by `./scripts/bench install`; do not edit.",
        f"The packages have the versions of `constraints.txt`, on {machine['system']}.",
        "Each row is an empty environment: the folder `site-packages` without pip and setuptools, in 1,000,000 octets.",
        "",
        "## Targets",
        *report.targets(
            [target for version, by_extra in by_version.items() for target in _targets(version, by_extra[""])]
        ),
    ]
    results = {
        version: {extra or "base": installed._asdict() for extra, installed in by_extra.items()}
        for version, by_extra in by_version.items()
    }
    report.write("install", heading + lines, {"machine": machine, "installed": results})


def _version(python: str) -> str:
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _install(python: str, extra: str) -> Installed:
    """Install hashdb with these extras into an empty environment, and measure it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        folder = Path(name)
        # Do not copy the files of earlier builds.
        ignored = shutil.ignore_patterns(".*", "build", "dist", "*.so", "*.egg-info", "hashdb-data")
        shutil.copytree(report.ROOT, folder / "code", ignore=ignored)
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True, env=variables)
        program = folder / "venv" / "bin" / "python"
        requirement = str(folder / "code") + (f"[{extra}]" if extra else "")
        options = ["--quiet", "--disable-pip-version-check", "--constraint", str(report.ROOT / "constraints.txt")]
        subprocess.run([program, "-m", "pip", "install", *options, requirement], check=True, env=variables)
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        sizes = {top.name: _size(top) for top in site.iterdir() if not _NOT_COUNTED.match(top.name)}
        packages = sorted(name.partition("-")[0] for name in sizes if name.endswith(".dist-info"))
        return Installed(packages, {name: size for name, (size, _) in sizes.items()}, sum(map(sum, sizes.values())))


def _size(top: Path) -> tuple[int, int]:
    """The bytes of a file or of all files in a folder: without compiled modules, and of compiled modules."""
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
            len(installed.packages),
            f"{installed.megabytes:.0f}",
            f"{installed.compiled / 1e6:.0f}",
            f"{installed.megabytes - base.megabytes:.0f}" if extra else "",
        ]
        for extra, installed in by_extra.items()
    ]
    parts: dict[str, int] = {}
    for name, size in base.parts.items():
        owner = _OWNERS.get(name, re.split(r"-[\d.]", name)[0].removesuffix(".py").lower().replace("_", "-"))
        parts[owner] = parts.get(owner, 0) + size
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return [
        f"## Python {version}",
        *report.table(_COLUMNS, rows),
        "The base, by size: "
        + ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest if size >= 500_000)
        + ".",
        "",
    ]


if __name__ == "__main__":
    main()
