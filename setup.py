"""What setup.cfg cannot say: the C kernels, and the README as the package index shows it."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent
_RELATIVE = r"(?!https?:|mailto:|#)([^)\s\"]+)"


def readme_for_index(text: str, source: str, revision: str) -> str:
    """The README with absolute links, since the package index resolves no relative ones.

    Links lead to files of the repository `source` at `revision`; pictures are loaded from there.
    """
    text = re.sub(rf"(!\[[^\]]*\]\(){_RELATIVE}", rf"\1{source}/raw/{revision}/\2", text)
    text = re.sub(rf"(\b(?:src|srcset)=\"){_RELATIVE}", rf"\1{source}/raw/{revision}/\2", text)
    return re.sub(rf"(\]\(|\bhref=\"){_RELATIVE}", rf"\1{source}/blob/{revision}/\2", text)


def long_description() -> str:
    """The README for the package index. A release links to its tag, any other version to the main branch."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    urls = dict(line.split(" = ") for line in config["metadata"]["project_urls"].split("\n") if line)
    version = re.search(r'__version__ = "(.+)"', (ROOT / "hashdb" / "__init__.py").read_text("utf-8"))
    revision = "main" if version is None or "dev" in version[1] else f"v{version[1]}"
    return readme_for_index((ROOT / "README.md").read_text("utf-8"), urls["Source"], revision)


if __name__ == "__main__":
    from setuptools import Extension, setup

    kernel = Extension(
        "hashdb.index._kernel",
        ["hashdb/index/kernel.c"],
        extra_compile_args=["-O3", "-fvisibility=hidden"],
        # Where it does not compile, the index runs on NumPy.
        optional=True,
        # ctypes loads it, and it uses nothing of Python: one file serves every Python.
        py_limited_api=True,
    )
    reductions = Extension(
        "hashdb.hashing._reductions",
        ["hashdb/hashing/reductions.c"],
        extra_compile_args=["-O3", "-fvisibility=hidden", "-ffp-contract=off"],
        libraries=["m"],
        # Where it does not compile, NumPy and Pillow reduce pictures.
        optional=True,
        py_limited_api=True,
    )
    setup(long_description=long_description(), ext_modules=[kernel, reductions])
