"""The structure of the code: the imports of each layer, the size of modules and functions, and the mirror of tests."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from hashdb.settings import Settings

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "hashdb").rglob("*.py"))

LAYERS = {
    "__init__": {"client", "domain", "hashing", "local"},
    "__main__": {"cli"},
    "errors": set[str](),
    "configuration": {"errors", "domain"},
    "member_settings": {"configuration", "errors", "domain"},
    "settings": {"member_settings", "errors", "domain"},
    "domain": {"errors"},
    "index": {"domain", "errors"},
    "hashing": {"domain", "errors"},
    "evaluation": {"hashing", "index", "domain", "errors"},
    "store": {"domain", "errors"},
    "service": {"domain", "errors", "index", "store"},
    "wire": {"domain", "errors"},
    "http_server": {"wire", "hashing", "settings", "domain", "errors"},
    "web": {"service", "http_server", "wire", "hashing", "settings", "domain", "errors"},
    "connection": {"wire", "errors"},
    "auditing": {"connection", "wire", "domain", "errors"},
    "client": {"auditing", "configuration", "connection", "wire", "domain", "errors"},
    "webhooks": {"wire", "domain", "errors"},
    "local": {"client", "configuration", "connection", "wire", "index", "domain", "errors"},
    "monitor": {"client", "connection", "local", "wire", "index", "domain", "errors"},
    "sidecar": {"local", "client", "http_server", "wire", "hashing", "settings", "domain", "errors"},
    "witness": {"http_server", "domain", "errors"},
    "cli": {
        "client",
        "configuration",
        "domain",
        "errors",
        "evaluation",
        "hashing",
        "index",
        "local",
        "member_settings",
        "monitor",
        "service",
        "settings",
        "sidecar",
        "store",
        "web",
        "wire",
        "witness",
        "http_server",
    },
}
"""The layers that each layer may import; the table of docs/architecture."""

PACKAGES = {
    "domain": {"cryptography", "numpy"},
    "member_settings": {"pydantic"},
    "settings": {"pydantic"},
    "index": {"grpc", "numpy", "pybktree", "pymilvus"},
    "hashing": {"numpy", "PIL", "imagehash", "av", "ada_url", "pypdfium2", "selectolax"},
    "evaluation": {"av", "jinja2", "numpy", "PIL"},
    "store": {"sqlalchemy", "alembic"},
    "service": {"numpy", "argon2", "confusable_homoglyphs", "pyotp"},
    "wire": {"pydantic", "pydantic_core", "annotated_types"},
    "http_server": {"prometheus_client", "pydantic", "werkzeug"},
    "web": {
        "flask",
        "authlib",
        "cryptography",
        "itsdangerous",
        "jinja2",
        "joserfc",
        "limits",
        "markupsafe",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "segno",
        "werkzeug",
    },
    "connection": {"httpx", "pydantic"},
    "client": {"httpx"},
    "webhooks": {"pydantic"},
    "local": {"numpy"},
    "sidecar": {"prometheus_client", "werkzeug"},
    "cli": {"click", "flask", "gunicorn", "httpx", "PIL"},
}
"""The packages that each layer may import, besides the standard library."""

LONG_MODULES = {
    # Every setting is in one module, with its description.
    "settings.py": 520,
    # Every error is in one module, with the tree of errors.
    "errors.py": 680,
    # The whole schema is in one module.
    "store/tables.py": 850,
}
SHORT_MODULES = {
    "__main__.py": "Python runs the module of this name",
    "cli/witness_server.py": "it imports gunicorn, which is in an extra, so only the command that serves imports it",
    "domain/matching/floods.py": "the rules of the flood guard; neither matches nor counts by day need them",
    "wire/origins.py": "the models of contributions and of matches have one, and it imports neither",
    "store/matching/seeds.py": "the SQL of one noun, like its neighbours",
    "web/console/overviews.py": "one page of the console, like its neighbours",
}
"""Modules with fewer than 40 lines that are not merged, and why."""
LONG_FUNCTIONS: dict[str, int] = {}

TESTED_IN = {
    "hashing/reading.py": "hashing/test_documents.py",
    "service/review/examination.py": "service/review/test_batches.py",
    "__init__.py": "test_hashdb.py",
    "auditing.py": "test_client.py",
    "cli/__init__.py": "cli/test_serve.py",
    "cli/listening.py": "cli/test_safety.py",
    "cli/servers.py": "cli/test_local.py",
    "cli/sidecar.py": "cli/test_local.py",
    "cli/witness_server.py": "cli/test_witness.py",
    "cli/database.py": "cli/test_serve.py",
    "domain/accounts/saved_views.py": "web/console/test_views.py",
    "domain/origins.py": "domain/sharing/test_upstreams.py",
    "domain/jobs.py": "service/test_jobs.py",
    "evaluation/processes.py": "evaluation/test_videos.py",
    "evaluation/text_figures.py": "evaluation/test_texts.py",
    "index/bktree.py": "index/test_index.py",
    "member_settings.py": "test_settings.py",
    "local/rows.py": "local/test_tables.py",
    "local/upload_columns.py": "local/test_remembered.py",
    "local/upload_days.py": "local/test_remembered.py",
    "local/upload_log.py": "local/test_remembered.py",
    "local/upload_parts.py": "local/test_remembered.py",
    "local/upload_scans.py": "local/test_remembered.py",
    "service/accounts/saved_views.py": "web/console/test_views.py",
    "service/sharing/banks.py": "web/sharing/test_hma.py",
    "service/sharing/remotes.py": "cli/test_remotes.py",
    "service/backups.py": "cli/test_backup.py",
    "store/accounts/saved_views.py": "web/console/test_views.py",
    "store/backups.py": "cli/test_backup.py",
    "store/contributions/filters.py": "store/contributions/test_listings.py",
    "store/review/due.py": "service/review/test_due.py",
    "store/ledger/witnesses.py": "service/ledger/test_witnesses.py",
    "store/sharing/upstreams.py": "service/sharing/test_following.py",
    "store/jobs.py": "service/test_jobs.py",
    "store/migrations/__init__.py": "store/test_migrations.py",
    "store/matching/seeds.py": "service/matching/test_seeds.py",
    "store/repositories.py": "store/contributions/test_contributions.py",
    "store/tables.py": "store/test_migrations.py",
    "store/review/claims.py": "service/review/test_claims.py",
    "store/review/queues.py": "service/review/test_queues.py",
    "web/api/accounts.py": "web/api/test_members.py",
    "web/api/ledger.py": "web/api/test_proofs.py",
    "web/api/review.py": "web/api/test_cases.py",
    "web/api/sharing.py": "web/api/test_webhooks.py",
    "web/api/stats.py": "web/api/test_reports.py",
    "web/vitals.py": "web/test_metrics.py",
    "wire/sidecar.py": "sidecar/test_matching.py",
    "http_server/bodies.py": "web/test_bodies.py",
    "http_server/forms.py": "web/test_context.py",
    "http_server/hma.py": "web/sharing/test_hma.py",
    "http_server/log_lines.py": "web/test_logs.py",
    "http_server/media.py": "web/test_media.py",
    "http_server/problems.py": "web/test_problems.py",
    "http_server/replies.py": "sidecar/test_application.py",
    "http_server/request_id.py": "web/test_request_id.py",
    "wire/faults.py": "wire/test_wire.py",
    "wire/origins.py": "wire/sharing/test_upstreams.py",
    "wire/sharing/__init__.py": "web/sharing/test_stopncii.py",
    "wire/sharing/exports.py": "cli/contributions/test_exports.py",
    "wire/sharing/hma.py": "web/sharing/test_hma.py",
    "wire/sharing/stopncii.py": "web/sharing/test_tat.py",
    "wire/sharing/threatexchange.py": "web/sharing/test_threatexchange.py",
}
"""Modules without their own file of tests, and the file that tests them."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return path.relative_to(ROOT / "hashdb").as_posix()


def _layer(path: Path) -> str:
    return path.relative_to(ROOT / "hashdb").with_suffix("").parts[0]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of the tree of a file. Cached, since to walk a tree takes as long as to parse the file."""
    return tuple(ast.walk(_tree(path)))


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The full names of the modules that a file imports anywhere."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            names = [f".{alias.name}" for alias in node.names] if node.module == "hashdb" else [""]
            yield from (f"{node.module}{name}" for name in names)


def _is_migration(path: Path) -> bool:
    return "migrations" in path.parts and path.name != "__init__.py"


def _public(tree: ast.Module) -> Iterator[ast.ClassDef | Function]:
    """Public classes, functions and methods; without the methods of classes that have a base class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and not node.bases:
                methods = (inner for inner in node.body if isinstance(inner, Function))
                yield from (method for method in methods if not method.name.startswith("_"))


def _may_import(layer: str, module: str) -> bool:
    package, _, inner = module.partition(".")
    if package == "hashdb":
        return not inner or inner.split(".")[0] in LAYERS[layer] | {layer, "__version__"}
    return package in sys.stdlib_module_names or package in PACKAGES.get(layer, set())


def test_a_layer_imports_only_what_it_may_import() -> None:
    violations = [
        f"{_name(path)} imports {module}"
        for path in MODULES
        for module in _imports(path)
        if not _may_import(_layer(path), module)
    ]
    assert not violations


def test_every_layer_is_in_the_table() -> None:
    assert {_layer(path) for path in MODULES} == set(LAYERS)


def test_the_imports_of_layers_have_no_cycle() -> None:
    """The table has no cycle, so the layers have none."""
    remaining = dict(LAYERS)
    while remaining:
        inner = {layer for layer, imports in remaining.items() if not imports & remaining.keys()}
        assert inner, f"a cycle among {sorted(remaining)}"
        remaining = {layer: imports for layer, imports in remaining.items() if layer not in inner}


@pytest.mark.parametrize(
    ("package", "layers"),
    [
        ("flask", {"web", "cli"}),
        ("sqlalchemy", {"store"}),
        ("sqlite3", {"local", "monitor", "witness"}),
        ("cryptography", {"domain", "web"}),
        ("psycopg", set[str]()),
        ("imagehash", {"hashing"}),
        ("av", {"hashing", "evaluation"}),
        ("pypdfium2", {"hashing"}),
        ("pybktree", {"index"}),
        ("pymilvus", {"index"}),
        ("httpx", {"connection", "client", "cli"}),
    ],
)
def test_a_package_is_imported_only_by_its_layers(package: str, layers: set[str]) -> None:
    importers = {_layer(path) for path in MODULES if package in {module.split(".")[0] for module in _imports(path)}}
    assert importers == layers


OPTIONAL = (
    "server",
    "sidecar",
    "audit",
    "hashes",
    "postgres",
    "redis",
    "otel",
    "video",
    "addresses",
    "documents",
    "milvus",
)
"""The extras for users of hashdb; the others are for developers."""
NOT_INSTALLED = {"grpc": "grpcio", "pymilvus": "pymilvus"}
"""Packages that the tests do not need, by their import names."""


def _distributions() -> set[str]:
    """The declared packages that hashdb imports."""
    known = packages_distributions()
    imported: set[str] = set()
    for module in {module.split(".")[0] for path in MODULES for module in _imports(path)}:
        if module != "hashdb" and module not in sys.stdlib_module_names:
            names = known.get(module) or [NOT_INSTALLED[module]]
            declared = {_normalised(name) for name in names} & _requirements().keys()
            assert declared, f"setup.cfg declares nothing for {module}"
            imported |= declared
    return imported


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _requirements() -> dict[str, bool]:
    """The dependencies that setup.cfg declares for users, and whether a comment above each says why."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    parts = {"install_requires": config["options"]["install_requires"]}
    parts |= {extra: config["options.extras_require"][extra] for extra in OPTIONAL}
    lines = (ROOT / "setup.cfg").read_text("utf-8").splitlines()
    explained: dict[str, bool] = {}
    for key, text in parts.items():
        start = lines.index(f"{key} =")
        for line in filter(None, text.splitlines()):
            place = lines.index(f"    {line}", start)
            extra_says_why = key not in ("install_requires", "server") and lines[start - 1].startswith("#")
            says_why = extra_says_why or lines[place - 1].lstrip().startswith("#")
            explained[_normalised(re.split(r"[\[<>=!~]", line)[0])] = says_why
    return explained


def test_every_import_is_declared_and_every_dependency_is_imported_or_explained() -> None:
    imported = _distributions()
    unused = [name for name, says_why in _requirements().items() if name not in imported and not says_why]
    assert not unused


PRIVATE_OF_OTHERS = {
    ("store/connections.py", "_WaitTimeout"),
    ("http_server/prometheus_multiprocess.py", "_buckets"),
    ("http_server/prometheus_multiprocess.py", "_sum"),
}
"""Private names without a public alternative: an error of psycopg, and the counts of a histogram."""
NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""Methods of named tuples, which are public in spite of their names."""


def _private_of_others(path: Path) -> Iterator[str]:
    """Private names that a file uses and does not define."""
    own = {node.name for node in _nodes(path) if isinstance(node, ast.ClassDef | Function)}
    for node in _nodes(path):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
    for node in _nodes(path):
        if isinstance(node, ast.Attribute):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if of_self or node.attr in own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        yield from (name for name in names if name.startswith("_") and not name.endswith("__"))


def test_no_module_uses_private_names_of_other_modules() -> None:
    used = {(_name(path), name) for path in MODULES for name in _private_of_others(path)}
    assert {pair for pair in used if pair[1] not in NAMED_TUPLES} == PRIVATE_OF_OTHERS


def test_only_the_commands_demo_and_evaluate_import_the_evaluation() -> None:
    importers = {
        _name(path) for path in MODULES if any(name.startswith("hashdb.evaluation") for name in _imports(path))
    }
    outside = {name for name in importers if not name.startswith("evaluation/")}
    assert outside == {
        "cli/demo.py",
        "cli/demo_console.py",
        "cli/demo_films.py",
        "cli/evaluate.py",
        "cli/evaluate_texts.py",
    }


def test_only_store_local_monitor_and_witness_contain_sql() -> None:
    statement = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|PRAGMA|BEGIN)\b")
    for path in MODULES:
        if _layer(path) not in ("store", "local", "monitor", "witness"):
            strings = (node.value for node in _nodes(path) if isinstance(node, ast.Constant))
            assert not [text for text in strings if isinstance(text, str) and statement.match(text)], _name(path)


def test_only_the_outer_layers_use_http_status_codes() -> None:
    status = re.compile(r"\b(status_code|http_status|HTTPStatus)\b")
    for path in MODULES:
        if _layer(path) not in ("web", "http_server", "sidecar", "connection", "client", "cli"):
            assert not status.search(path.read_text("utf-8")), _name(path)


def test_the_docstring_of_a_module_begins_with_one_line() -> None:
    for path in MODULES:
        first, *rest = (ast.get_docstring(_tree(path)) or "").splitlines() or [""]
        assert first, _name(path)
        assert not rest or rest[0] == "", _name(path)


def test_every_public_class_and_function_has_a_docstring() -> None:
    # The docstring of errors.py describes each error.
    modules = [path for path in MODULES if _name(path) != "errors.py"]
    assert not [
        f"{_name(path)}: {node.name}"
        for path in modules
        for node in _public(_tree(path))
        if not ast.get_docstring(node)
    ]


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_a_module_has_at_most_450_lines() -> None:
    assert not [
        f"{_name(path)}: {_lines(path)}" for path in MODULES if _lines(path) > LONG_MODULES.get(_name(path), 450)
    ]


def test_a_module_has_at_least_40_lines() -> None:
    modules = [path for path in MODULES if path.name not in ("__init__.py", "env.py") and not _is_migration(path)]
    assert {_name(path) for path in modules if _lines(path) < 40} == SHORT_MODULES.keys()


def test_a_function_has_at_most_50_lines() -> None:
    lengths = {
        f"{_name(path)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in MODULES
        if not _is_migration(path)
        for node in _nodes(path)
        if isinstance(node, Function)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONG_FUNCTIONS.get(name, 50)}


def test_every_module_has_a_file_of_tests() -> None:
    for path in MODULES:
        code = [node for node in _tree(path).body if isinstance(node, ast.ClassDef | Function)]
        if not code or _is_migration(path):
            continue
        relative = path.relative_to(ROOT / "hashdb")
        package = path.name == "__init__.py"
        own = relative.parent / f"test_{relative.parent.name if package else relative.stem}.py"
        other = TESTED_IN.get(_name(path), own)
        assert any((ROOT / "tests" / file).is_file() for file in (own, other)), f"{_name(path)}: write tests/{own}"


def test_the_exceptions_of_these_tests_name_existing_modules() -> None:
    names = {_name(path) for path in MODULES}
    assert (
        TESTED_IN.keys()
        | LONG_MODULES.keys()
        | SHORT_MODULES.keys()
        | {name.partition(":")[0] for name in LONG_FUNCTIONS}
    ) <= names


MADE = re.compile(r"__pycache__|node_modules|\.egg-info|/\.|^(build|dist|hashdb-data|site)\b")
"""Folders that tools create and that have no source."""


def _is_mirror(folder: str) -> bool:
    """Whether a folder of tests has the name of a package, or of a module with several files of tests."""
    tested = ROOT / folder.replace("tests", "hashdb", 1)
    return tested.is_dir() or tested.with_suffix(".py").is_file()


def test_every_folder_is_in_the_map_of_the_code() -> None:
    tops = [
        path for path in ROOT.iterdir() if path.is_dir() and (path.name[0] != "." or path.name in (".ci", ".github"))
    ]
    holders = {file.parent.relative_to(ROOT).as_posix() for top in tops for file in top.rglob("*") if file.is_file()}
    folders = {name for name in holders if not MADE.search(name)}
    mirrors = {name for name in folders if name.startswith("tests/") and _is_mirror(name)}
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("\n## Map of the code\n")[2]
    rows = re.findall(r"^\| `([^`]+)` \| [^|]{10,}\. \|$", text.partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(folders - mirrors)


def test_no_module_has_a_vague_name() -> None:
    vague = {"common", "data", "handler", "handlers", "helper", "helpers", "info", "item", "items", "manager", "misc"}
    assert {path.stem for path in MODULES}.isdisjoint(vague | {"process", "util", "utils"})


def test_only_the_command_line_prints() -> None:
    for path in MODULES:
        if _layer(path) != "cli":
            assert not [node for node in _nodes(path) if isinstance(node, ast.Name) and node.id == "print"]


def test_no_secret_is_in_the_repository() -> None:
    secret = re.compile(r"\bhdb_[A-Za-z0-9_-]{40,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(ghp_|AKIA)[A-Za-z0-9]{16,}")
    folders = ("hashdb", "tests", "docs", "examples", "scripts", ".ci")
    endings = {".py", ".md", ".toml", ".cfg", ".txt", ".yaml", ".yml", ".json", ".html", ""}
    files = [path for name in folders for path in (ROOT / name).rglob("*")] + list(ROOT.glob("*"))
    for path in files:
        if path.is_file() and path.suffix in endings:
            assert not secret.search(path.read_text("utf-8", "replace")), path


_QUOTED = re.compile(r"`([A-Za-z_][A-Za-z0-9_.]*)(?:\([^`]*\))?`")
"""A name in backticks, which may be dotted or called."""


def _prose_and_names(module: Path) -> tuple[list[tuple[int, str]], set[str]]:
    """The docstrings and comments of a module, each with its line, and all words of its code."""
    prose, names = list[tuple[int, str]](), set[str]()
    with module.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
            if token.type == tokenize.COMMENT or is_docstring:
                prose.append((token.start[0], token.string))
            else:
                names.update(re.findall(r"\w+", token.string))
    return prose, names


def test_a_name_in_a_docstring_or_comment_exists() -> None:
    parsed = {module: _prose_and_names(module) for module in MODULES}
    known = {name for _, names in parsed.values() for name in names} | {module.stem for module in MODULES}
    known |= {part for module in MODULES for part in re.split(r"[/.]", str(module.relative_to(ROOT)))}
    known |= {f"HASHDB_{name.upper()}" for name in Settings.model_fields}
    for file in (ROOT / "hashdb").rglob("*"):
        if file.suffix in {".html", ".c", ".toml"}:
            known |= set(re.findall(r"\w+", file.read_text("utf-8")))
    unknown = [
        f"{module.relative_to(ROOT)}:{line}: {name}"
        for module, (prose, _) in parsed.items()
        for line, text in prose
        for name in _QUOTED.findall(text)
        if not set(re.findall(r"\w+", name)) <= known
    ]
    assert unknown == []
