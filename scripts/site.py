"""Hooks of MkDocs (mkdocs.yml): files outside docs/ that pages link to become part of the site."""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages of the repository that have their place in the navigation.
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "integrations/threatexchange/README.md")
EXAMPLES = "examples/index.md"
# The mark of snippets that the tests run or save; no highlighter knows it.
_RUN = re.compile(r"^(```\w+) (?:run|save \S+)$", re.MULTILINE)
# The contents at the top of a long page: the site shows them beside it.
_CONTENTS = re.compile(r"(?:^- \[[^\]]+\]\(#[\w-]+\)\n){3,}", re.MULTILINE)
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    files.append(File.generated(config, EXAMPLES, content=_examples()))
    icon = ROOT / "hashdb" / "web" / "static" / "console" / "icon.svg"
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: Any) -> str:
    """Called by MkDocs."""
    here = page.file.src_uri

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(_place(here)), found[2]))
        place = _uri(target)
        if not files.get_file_from_path(place) and (ROOT / target).is_file():
            files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
        return found[1] + posixpath.relpath(place, posixpath.dirname(here) or ".")

    return four_spaces(_LINK.sub(link, _CONTENTS.sub("", _RUN.sub(r"\1", markdown))))


def four_spaces(markdown: str) -> str:
    """Lists as Python-Markdown takes them; on GitHub two spaces nest, and a list needs no blank line before it."""
    lines: list[str] = []
    offsets: list[int] = []  # where the text of each list that is open begins
    fence = ""
    in_list = False  # whether the lines since the last blank one began with an item
    for line in markdown.splitlines():
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if not fence and text:
            while offsets and indent < offsets[-1]:
                offsets.pop()
        depth = len(offsets)
        offset = offsets[-1] if offsets else 0
        if not fence and (item := re.match(r"(?:[-*]|\d+\.) +", text)):
            if lines and lines[-1] and not in_list:
                lines.append("")
            in_list = True
            offsets.append(indent + item.end())
        elif not text:
            in_list = False
        lines.append(text and " " * (4 * depth + indent - offset) + text)
        if mark := re.match(r"```+", text):
            fence = "" if fence == mark[0] else fence or mark[0]
    return "\n".join(lines) + "\n"


def _place(uri: str) -> str:
    """Where in the repository a page of the site is."""
    return uri if uri in PAGES or uri == EXAMPLES else f"docs/{uri}"


def _uri(place: str) -> str:
    """Where in the site a file of the repository is."""
    if place == "README.md":
        return "index.md"
    if place == "examples" or place.startswith("examples/"):
        return EXAMPLES
    return place.removeprefix("docs/")


def _examples() -> str:
    """The examples as one page."""
    text = "# Examples\n\nShort programs to copy. Each reads `HASHDB_URL` and `HASHDB_KEY` from the environment.\n"
    for file in sorted((ROOT / "examples").glob("*.py")):
        code = file.read_text("utf-8")
        summary = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")[0]
        text += f"\n## {file.name}\n\n{summary}\n\n```python\n{code}```\n"
    return text
