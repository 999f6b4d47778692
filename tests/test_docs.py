"""The documentation fits the code: every feature is documented, and every documented fact is true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from hashdb.domain.accounts.members import MemberKind, Scope
from hashdb.domain.ledger.events import Action
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.meanings import EXAMPLES, MEANINGS
from hashdb.domain.signals import Algorithm
from hashdb.http_server.problems import STATUS, status_of
from hashdb.settings import Settings
from hashdb.store.tables import metadata
from hashdb.web import create_app
from hashdb.web.sharing import MOUNTS
from scripts import docs, examples
from tests import builders, usages
from tests.published import publish
from tests.serving import serving
from tests.snippets import ROOT, fits, run, steps

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
README = (ROOT / "README.md").read_text("utf-8")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#{1,6} (.+)$", _without_fences(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_generated_block_is_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == docs.regenerate(text), "run scripts/docs"


def test_every_block_that_scripts_docs_generates_is_on_a_page() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert set(re.findall(r"<!-- made by scripts/docs: ([a-z-]+) -->", text)) == set(docs.BLOCKS)


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"| `HASHDB_{name.upper()}` |" in _page("settings.md")


def test_the_risk_of_every_setting_of_the_service_is_documented() -> None:
    section = _page("settings.md").partition("## The risk of each\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `HASHDB_(\w+)` \| .{20,} \|$", section, re.MULTILINE)
    of_the_service = [
        name.upper() for name, field in Settings.model_fields.items() if (field.description or "")[:1] != "("
    ]
    assert sorted(documented) == sorted(of_the_service)


def test_every_command_and_option_is_documented() -> None:
    text = _page("cli.md")
    for words, command in docs.walk():
        section = text.partition(f"\n### {' '.join(words)}\n")[2].partition("\n### ")[0]
        assert command.help
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"`{option.opts[0]}`" in section


def test_every_command_except_the_servers_has_the_option_json() -> None:
    without = [words for words, command in docs.walk() if all("--json" not in option.opts for option in command.params)]
    assert without == [("hashdb", "local", "serve"), ("hashdb", "serve"), ("hashdb", "witness", "serve")]
    assert "Every command takes it but `serve`, `local serve` and `witness serve`," in _page("cli.md")


def test_every_route_is_documented_with_its_scope(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `([A-Z]+) (\S+)` \| ([^|]+) \| ([^|]+) \|", _page("api.md"), re.MULTILINE)
    db = builders.hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", builders.Clock())
    rules = list(create_app(db, Settings(home=tmp_path)).url_map.iter_rules())
    db.close()
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static" and not rule.endpoint.startswith("console.") and not rule.rule.startswith(MOUNTS)
    }
    assert {(method, path) for method, path, _, _ in rows} == routes
    for _, _, scope, answers in rows:
        named = re.findall(r"`(\w+)`", scope)
        assert scope in ("no key", "any key") or (named and set(named) <= set(Scope))
        assert set(answers.split(", ")) <= {"200", "201", "202", "204"}


def test_every_operation_of_the_api_has_an_example() -> None:
    shown, paths = examples.record()
    assert set(shown) == {(method.upper(), path) for path, operations in paths.items() for method in operations}
    text = _page("api.md")
    for (method, path), example in shown.items():
        assert f"#### `{method} {path}`\n" in text
        assert f"Operation `{paths[path][method.lower()]['operationId']}`.\n" in text
        assert example.status.value in (200, 201, 202, 204)


def test_every_page_of_the_console_is_documented(tmp_path: Path) -> None:
    db = builders.hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", builders.Clock())
    rules = list(create_app(db, Settings(home=tmp_path)).url_map.iter_rules())
    db.close()
    pages = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in rules
        if rule.endpoint.startswith("console.") and "GET" in (rule.methods or ()) and "path:" not in rule.rule
    }
    assert set(re.findall(r"^\| `(/console\S*)` \|", _page("console.md"), re.MULTILINE)) == pages


def test_every_route_of_another_systems_protocol_is_documented(tmp_path: Path) -> None:
    text = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "interop").glob("*.md"))
    db = builders.hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", builders.Clock())
    rules = [rule for rule in create_app(db, Settings()).url_map.iter_rules() if rule.rule.startswith(MOUNTS)]
    db.close()
    assert len(rules) > 10
    for rule in rules:
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = re.sub(r"<(?:[a-z]+:)?(\w+)>", r"{\1}", rule.rule)
            assert f"| `{method} {path}` |" in text


def test_every_error_is_documented_with_its_status() -> None:
    text = _page("api.md")
    for kind in docs.kinds():
        if any(below for below in kind.__subclasses__()) and kind not in STATUS:
            continue
        if not docs.is_raised_locally(kind) and kind.__name__ not in ("NotAllowed", "Conflict", "UnsupportedContent"):
            assert f"| {status_of(kind)} | `/problems/{kind.slug}` | `{kind.__name__}` |" in text
        elif status_of(kind) == 500:
            assert f"| `{kind.__name__}` |" in text


def test_every_action_of_the_log_is_documented() -> None:
    for action in Action:
        assert f"| `{action}` |" in _page("api.md")


def test_every_table_of_the_database_is_in_the_data_flows() -> None:
    for table in metadata.tables:
        assert f"| `{table}` |" in _page("dataflows.md")


def test_every_scope_member_kind_and_engine_is_in_the_glossary() -> None:
    for word in (*Scope, *MemberKind, *get_args(Settings.model_fields["index"].annotation)):
        assert f"`{word}`" in _page("glossary.md")


def test_every_algorithm_is_in_the_glossary_and_has_a_documented_test_signal() -> None:
    for algorithm in Algorithm:
        assert f"`{algorithm}`" in _page("glossary.md")
    for signal in TEST_SIGNALS:
        assert "| `{}` | `{}` |".format(*str(signal).split(":")) in _page("members.md")


_ABBREVIATION = re.compile(r"(?<![\w`/.=&$#-])[A-Z][A-Z0-9]*[A-Z][A-Za-z0-9]*\b")
_TERM = re.compile(r"^\| (?:\*\*)?(.*?)(?:\*\*)? \|", re.M)
_NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<[^>]*>", re.S)
_NAMES = re.findall(
    r"\w+",
    "AMD APIFlask CHANGELOG CONTRIBUTING COCO DISPUTED EPYC FFmpeg GET HAProxy ISO NAME NOTICE OK PASCAL PATH PDQIndex"
    " POST SECURITY SIGTERM SQLAlchemy SQLite VOC",
)
"""Names of products, files, methods and signals, and other words in capitals."""


def test_every_abbreviation_is_in_the_glossary() -> None:
    known = {word for term in _TERM.findall(_page("glossary.md")) for word in re.findall(r"\w+", term)}
    # The arguments of commands are in capitals. Decisions are for readers who know the code.
    pages = [page for page in PAGES if page.name != "cli.md" and page.parent.name != "decisions"]
    texts = {page: page.read_text("utf-8") for page in (*pages, *(ROOT / "hashdb/web/templates").rglob("*.html"))}
    texts[ROOT / "meanings"] = str([*MEANINGS.values(), *EXAMPLES.values()])
    unknown = {
        (word, page.name)
        for page, text in texts.items()
        for word in _ABBREVIATION.findall(_NOT_PROSE.sub(" ", text))
        if word not in (*known, *_NAMES) and word.removesuffix("s") not in known
    }
    assert sorted(unknown) == []


def test_every_page_and_decision_is_in_a_table_of_contents() -> None:
    contents = ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "index.md"
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in contents
        for link in _LINK.findall(page.read_text())
    }
    assert {page for page in PAGES if page.parent != ROOT} - linked == {contents[0]}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_has_a_target(page: Path) -> None:
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", _without_fences(page.read_text("utf-8")))):
        if link.startswith(("https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in _anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_test_and_script_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(r"`((?:tests|scripts)/[\w/.-]+)", page.read_text("utf-8")):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_names_a_machine_or_a_registry(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.search(r"(?<![\w./])/(home|root|work|tmp|Users|opt|mnt)/", text)
    assert not re.search(r"pypi\.|pythonhosted|npmjs|docker\.io|ghcr\.", text)
    assert "localhost" not in text


def test_the_figures_of_the_readme_are_those_of_the_linked_pages() -> None:
    rows = re.findall(r"^\| (.*\*\*.*) \| \[\w+\]\((\S+)\) \|$", README, re.MULTILINE)
    assert len(rows) == 3
    for text, page in rows:
        figures = re.findall(r"\*\*([\d,.]+)[ %]*\*\*", text)
        assert figures
        for figure in figures:
            assert re.search(rf"\| {re.escape(figure)}\b", (ROOT / page).read_text("utf-8")), figure


def test_the_commands_of_the_readme_exist() -> None:
    text = README
    for script in set(re.findall(r"\./scripts/(\w+)", text)):
        assert (ROOT / "scripts" / script).stat().st_mode & 0o111
    known = {" ".join(words) for words, _ in docs.walk()}
    for words in re.findall(r"^\$.*?hashdb ([a-z]+(?: add)?)", text, re.MULTILINE):
        assert f"hashdb {words}" in known


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_on_a_page_is_valid(page: Path) -> None:
    text = page.read_text("utf-8")
    for words in usages.commands_in_blocks(text):
        assert usages.usage_error(words, whole=True) is None, words
    for words in usages.commands_in_text(_without_fences(text)):
        assert usages.usage_error(words, whole=page.name == "runbook.md") is None, words


def test_an_invalid_command_is_reported() -> None:
    for words in ("key list", "key revoke 1", "case list --state open"):
        assert usages.usage_error(words, whole=True) is None
    for words in ("key", "key revoke", "key revoke 1 2", "key list --nothing", "case list --state lost", "nothing"):
        assert usages.usage_error(words, whole=True)
    for words in ("key", "key revoke", "key add … --scope … --hide-distances"):
        assert usages.usage_error(words, whole=False) is None
    assert usages.usage_error("key list --nothing", whole=False)


def test_every_decision_has_context_decision_and_consequences() -> None:
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        text = page.read_text("utf-8")
        assert re.match(rf"# {int(page.name[:4])}\. ", text), page.name
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, page.name


RUN = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in ("tutorial", "audit", "members", "interop/hma", "interop/coop", "interop/misp-stix")
    ),
    *(f"docs/start/{name}.md" for name in ("member", "reviewer", "auditor")),
]
FOREIGN = [f"docs/interop/{name}.md" for name in ("extension", "stopncii", "tat", "threatexchange")]


@pytest.mark.skipif(not shutil.which("curl"), reason="the snippets need curl")
@pytest.mark.parametrize("name", [*RUN, *FOREIGN])
def test_the_snippets_of_a_page_print_the_output_that_it_shows(name: str, tmp_path: Path) -> None:
    if name in FOREIGN:
        pytest.importorskip("threatexchange")
    folder = tmp_path / "clone"
    folder.mkdir()
    home = folder / "hashdb-data"
    settings: dict[str, Any] = publish(home, folder) if name == "docs/audit.md" else {}
    with serving(home, HASHDB_INTEROP_LABEL="glorification", **settings) as url:
        failures = run(ROOT / name, folder, {"HASHDB_URL": url}, {"http://127.0.0.1:8000": url})
    assert not failures, "\n\n".join(failures)


def test_a_snippet_is_separated_from_its_output() -> None:
    page = "```console run\n$ one \\\n  two\nthis\n$ three\n```\n\n```python run\nx\n```\n\n```text\nthat\n```\n"
    parsed = [(step.line, step.command, step.output) for step in steps(page)]
    assert parsed[:2] == [(1, "one \\\n  two\n", "this\n"), (1, "three\n", "")]
    assert parsed[2][2] == "that\n"
    (saved,) = steps("```python save x.py\nprint(1)\n```\n")
    assert saved.command == "cat > x.py <<'END_OF_SNIPPET'\nprint(1)\nEND_OF_SNIPPET\n"
    assert fits("hdb_abc.\n", "hdb_….\n")
    assert not fits("hdb_a\nbc.\n", "hdb_….\n")
