"""Fixtures for every test, and hooks that hold for all of them."""

from __future__ import annotations

import gc
import os
import signal
import ssl
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import certifi
import pytest
from _pytest.doctest import DoctestModule
from argon2 import PasswordHasher
from flask import Flask
from hypothesis import settings
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Connection, Dialect, Engine, event, make_url
from werkzeug.routing import Rule

from hashdb.service.accounts import passwords
from hashdb.store import thread_connections
from tests import schemas
from tests.hashing.samples import NO_REFERENCE
from tests.postgres import Copies, OwnServer, PostgresMissing, PostgresServer, own_server, postgres_server

REQUIRE_ALL = os.environ.get("HASHDB_REQUIRE_ALL", "0") not in ("", "0")

settings.register_profile("hashdb", deadline=None)
settings.register_profile("hashdb-ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("hashdb-ci" if REQUIRE_ALL or os.environ.get("CI") else "hashdb")

# Collection makes many objects and drops none: a garbage collection would take longer than the collection of the tests.
# Not by gc.disable: some modules enable it again.
gc.set_threshold(0)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets a background process ignore Ctrl-C, and each process that a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _without_settings(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HASHDB_"):
            patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _session_without_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings of the developer's own hashdb from fixtures of any scope."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        _without_settings(patch)
        yield


@pytest.fixture(autouse=True)
def _test_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings that another test left."""
    _without_settings(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[PasswordHasher]:
    """Make the check of a password cheap: it takes 64 MiB and 50 ms or more, and the tests make hundreds.

    The value is the real hasher, for the test of its cost.
    """
    hasher = passwords.HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=64))
        yield hasher


class _Compiled(dict[Any, Any]):
    """Compiled statements by the name of the dialect, for all engines."""

    def get(self, key: Any, default: Any = None) -> Any:
        dialect, *rest = key
        return super().get((dialect.name, *rest), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        dialect, *rest = key
        super().__setitem__((dialect.name, *rest), compiled)


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Share compiled statements. Each test has its own database; to compile again would take a third of its time."""
    compiled, dialects, compile = _Compiled(), dict[str, Dialect](), thread_connections._compile

    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)

    def compile_once(query: Any, dialect: Dialect, sizes: Any) -> Any:
        return compile(query, dialects.setdefault(dialect.name, dialect), sizes)

    event.listen(Engine, "engine_connect", share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thread_connections, "_compile", compile_once)
        yield
    event.remove(Engine, "engine_connect", share)


class _Route(Rule):
    """A rule that reuses the compiled form of an equal rule of another application."""

    compiled: ClassVar[dict[object, dict[str, Any]]] = {}

    def compile(self) -> None:
        key = self.rule, repr(self.defaults), self.subdomain, self.host, self.merge_slashes
        if key not in self.compiled:
            before = vars(self) | {"arguments": set(self.arguments)}
            super().compile()
            self.compiled[key] = {name: now for name, now in vars(self).items() if before.get(name) != now}
        vars(self).update(self.compiled[key])


class _Templates(BytecodeCache):
    """Compiled templates, for all applications."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _routes_and_templates_compiled_once() -> Iterator[None]:
    """Share compiled routes and templates: most tests of the web make an application, which would compile them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", _Route)
        patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _Templates()})
        yield


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Share one TLS context: a client of httpx reads the 140 certificates of certifi, as slow as ten requests."""
    create_default, file = ssl.create_default_context, certifi.where()
    shared = create_default(cafile=file)

    def create(*words: Any, **named: Any) -> ssl.SSLContext:
        return shared if not words and named == {"cafile": file} else create_default(*words, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for each process of pytest-xdist."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[OwnServer]:
    """A server that a test may stop and kill. It is not the one of TEST_DATABASE_URL."""
    try:
        with own_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL that only this test uses."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database with the schema. Others are copied from it: to migrate takes ten times as long."""
    with postgres.new_database() as url:
        schemas.make(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def postgres_copies(postgres: PostgresServer, postgres_template: str) -> Iterator[Copies]:
    """The databases that the tests use one after another."""
    with closing(Copies(postgres, postgres_template)) as copies:
        yield copies


@pytest.fixture
def postgres_url(postgres_copies: Copies) -> Iterator[str]:
    """The URL of a database on PostgreSQL that has the schema and no rows. Only this test uses it."""
    with postgres_copies.borrow() as url:
        schemas.mark_as_made(url)
        yield url


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that only this test uses: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hashdb.sqlite"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that has the schema and no rows: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/hashdb.sqlite"
        schemas.make(url)
        return url
    postgres_url: str = request.getfixturevalue("postgres_url")
    return postgres_url


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect no doctests of tests: they have none, and the doctest plugin would read each file."""
    collectors = yield
    return [collector for collector in collectors if not isinstance(collector, DoctestModule)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need PostgreSQL, for `-m "not postgres"`."""
    for item in items:
        if "postgres" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collected tests and their modules out of each later garbage collection: they stay until the end."""
    gc.collect()
    gc.freeze()
    # Python collects after 700 new objects, and one request makes more: collections would take a tenth of the time.
    gc.set_threshold(20_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With HASHDB_REQUIRE_ALL=1, fail each skipped test, unless nothing can be installed to run it."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not _excused(report):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With HASHDB_REQUIRE_ALL=1, fail each file that pytest.importorskip skips."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        _fail(report)
    return report


def _excused(report: pytest.TestReport) -> bool:
    """Whether no package can provide what is missing: pictures of a folder beside the repository."""
    return NO_REFERENCE in str(report.longrepr)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"HASHDB_REQUIRE_ALL=1, but {reason}"
