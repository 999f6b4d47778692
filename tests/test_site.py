"""The site that `scripts/docs build` makes of docs/: its build is strict; it is complete and works offline."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.site import four_spaces
from tests.snippets import ROOT
from tests.web.console.browsers import WAIT, chromium

PAGES = sorted((ROOT / "docs").rglob("*.md"))
_LOADS = re.compile(r"<(?:script|img|source|iframe)[^>]* src=\"?([^\" >]+)|<link[^>]* href=\"?([^\" >]+)")
_LOADS_BY_STYLE = re.compile(r"(?:url\(|@import )[\"']?(?!data:|#)([^\"')]+)")


def _build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", config, "--site-dir", site],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `scripts/docs build` does."""
    folder = tmp_path_factory.mktemp("site")
    built = _build(ROOT / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site_and_in_the_search_index(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    indexed = {entry["location"].partition("#")[0] for entry in index["docs"]}
    for page in PAGES:
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / name).is_file(), name
        assert name in indexed, name
    assert {"CHANGELOG.html", "CONTRIBUTING.html", "SECURITY.html", "examples/index.html"} <= indexed


def test_the_site_loads_only_files_of_its_own_and_they_exist(site: Path) -> None:
    loaded = 0
    for page in site.rglob("*.html"):
        for src, href in _LOADS.findall(page.read_text("utf-8")):
            address = src or href
            assert not re.match(r"(\w+:)?//", address), f"{page.name}: {address}"
            # On the 404 page, addresses begin at the root of the site.
            assert (page.parent / address.lstrip("/")).exists(), f"{page.name}: {address}"
            loaded += 1
    assert loaded > 500
    for style in site.rglob("*.css"):
        for address in _LOADS_BY_STYLE.findall(style.read_text("utf-8")):
            assert not re.match(r"(\w+:)?//", address), f"{style.name}: {address}"


def test_snippets_marked_run_are_shown_as_code(site: Path) -> None:
    assert "<code>" in (site / "tutorial.html").read_text("utf-8")
    for page in site.rglob("*.html"):
        assert not re.search(r"```|(console|bash|python) run\b", page.read_text("utf-8")), page.name


def test_nested_lists_are_converted_to_four_spaces() -> None:
    github = "text:\n- a\n  b\n\n  ```text\n  x\n    y\n  ```\n\n  c\n- d\n  1. e\n     f\n2. g\n\nh\n"
    assert four_spaces(github) == (
        "text:\n\n- a\n    b\n\n    ```text\n    x\n      y\n    ```\n\n    c\n\n- d\n    1. e\n        f\n2. g\n\nh\n"
    )


def test_the_search_works_without_a_server(site: Path) -> None:
    with chromium() as browser:
        context = browser.new_context()
        context.set_offline(True)
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.locator("input[name=query]").fill("quarantine")
        page.locator(".md-search-result__item a").first.wait_for(timeout=WAIT)
        assert "quarantine" in page.locator(".md-search-result__list").inner_text().lower()


def test_a_broken_link_or_a_page_outside_the_navigation_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    config = tmp_path / "mkdocs.yml"
    small = "docs_dir: docs\nsite_dir: site\nhooks: []\nplugins: []\nwatch: []\nnav: [index.md]\n"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\n{small}")
    (docs / "index.md").write_text("# A page\n")
    assert _build(config, tmp_path / "site").returncode == 0
    links = "[a](gone.md) [b](#no-heading) [c](../outside.txt) ![d](gone.png)"
    (docs / "index.md").write_text(f"# A page\n\n{links}\n")
    (docs / "orphan.md").write_text("# Orphan\n")
    built = _build(config, tmp_path / "site")
    assert built.returncode == 1
    for fault in ("gone.md", "#no-heading", "outside.txt", "gone.png", "orphan.md"):
        assert f"{fault}" in built.stderr, fault
