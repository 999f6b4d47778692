"""Hooks of MkDocs (mkdocs.yml): add the files outside docs/ that pages link to."""

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
# Pages outside docs/ that are in the navigation.
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "integrations/threatexchange/README.md")
EXAMPLES = "examples/index.md"
# The marks of snippets that the tests run or save. Highlighters do not know them.
_RUN = re.compile(r"^(```\w+) (?:run|save \S+)$", re.MULTILINE)
# The table of contents at the top of a long page. The site shows one beside the page.
_CONTENTS = re.compile(r"(?:^- \[[^\]]+\]\(#[\w-]+\)\n){3,}", re.MULTILINE)
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files outside docs/. MkDocs calls this hook."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    files.append(File.generated(config, EXAMPLES, content=_examples()))
    icon = ROOT / "hashdb" / "web" / "static" / "console" / "icon.svg"
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: Any) -> str:
    """Change the links and lists of a page for the site. MkDocs calls this hook."""
    uri = page.file.src_uri

    def replace_link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(_repository_path(uri)), match[2]))
        site_path = _site_path(target)
        if not files.get_file_from_path(site_path) and (ROOT / target).is_file():
            files.append(File.generated(config, site_path, abs_src_path=str(ROOT / target)))
        return match[1] + posixpath.relpath(site_path, posixpath.dirname(uri) or ".")

    return four_spaces(_LINK.sub(replace_link, _CONTENTS.sub("", _RUN.sub(r"\1", markdown))))


def four_spaces(markdown: str) -> str:
    """Format lists for Python-Markdown: four spaces to nest, and a blank line before a list. GitHub needs neither."""
    lines: list[str] = []
    offsets: list[int] = []  # the column of the text of each open list
    fence = ""
    in_list = False  # whether a list item began after the last blank line
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


def _repository_path(uri: str) -> str:
    """The path in the repository of a page of the site."""
    return uri if uri in PAGES or uri == EXAMPLES else f"docs/{uri}"


def _site_path(path: str) -> str:
    """The path in the site of a file of the repository."""
    if path == "README.md":
        return "index.md"
    if path == "examples" or path.startswith("examples/"):
        return EXAMPLES
    return path.removeprefix("docs/")


def _examples() -> str:
    """The page with all examples."""
    text = "# Examples\n\nShort programs to copy. Each reads `HASHDB_URL` and `HASHDB_KEY` from the environment.\n"
    for file in sorted((ROOT / "examples").glob("*.py")):
        code = file.read_text("utf-8")
        summary = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")[0]
        text += f"\n## {file.name}\n\n{summary}\n\n```python\n{code}```\n"
    return text
