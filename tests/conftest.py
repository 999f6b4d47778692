"""What every test may ask for, and what holds for all of them."""

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

from hashdb.service.accounts import sessions
from hashdb.store import thread_connections
from tests import schemas
from tests.hashing.samples import NO_REFERENCE
from tests.postgres import Copies, OwnServer, PostgresMissing, PostgresServer, own_server, postgres_server

REQUIRE_ALL = os.environ.get("HASHDB_REQUIRE_ALL", "0") not in ("", "0")

settings.register_profile("hashdb", deadline=None)
settings.register_profile("hashdb-ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("hashdb-ci" if REQUIRE_ALL or os.environ.get("CI") else "hashdb")

# While tests are collected, all that is made stays: to search it for garbage takes longer than to collect them. Not by
# gc.disable, after which some modules enable it again.
gc.set_threshold(0)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores Ctrl-C in what it starts in the background, and each process that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _without_settings(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HASHDB_"):
            patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _session_without_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have a hashdb of their own: fixtures of any scope do not see its settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        _without_settings(patch)
        yield


@pytest.fixture(autouse=True)
def _test_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one left."""
    _without_settings(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[PasswordHasher]:
    """A password costs 64 MiB and 50 ms or more to be recognised, and hundreds are; what they cost is tried apart."""
    usual = sessions.HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "HASHER", PasswordHasher(time_cost=1, memory_cost=64))
        yield usual


class _Compiled(dict[Any, Any]):
    """Compiled statements by the name of the dialect, whichever engine compiled them."""

    def get(self, key: Any, default: Any = None) -> Any:
        dialect, *rest = key
        return super().get((dialect.name, *rest), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        dialect, *rest = key
        super().__setitem__((dialect.name, *rest), compiled)


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Each test opens a database of its own, and would compile each statement again: a third of its time."""
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
    """A rule that takes over what an equal rule of another application was compiled to."""

    compiled: ClassVar[dict[object, dict[str, Any]]] = {}

    def compile(self) -> None:
        key = self.rule, repr(self.defaults), self.subdomain, self.host, self.merge_slashes
        if key not in self.compiled:
            before = vars(self) | {"arguments": set(self.arguments)}
            super().compile()
            self.compiled[key] = {name: now for name, now in vars(self).items() if before.get(name) != now}
        vars(self).update(self.compiled[key])


class _Templates(BytecodeCache):
    """What templates were compiled to, whichever application compiled them."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _routes_and_templates_compiled_once() -> Iterator[None]:
    """Most tests of the web make an application, which would compile each route and each template again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", _Route)
        patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _Templates()})
        yield


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Each client of httpx would read the 140 certificates of certifi again: as long as ten requests take here."""
    anew, file = ssl.create_default_context, certifi.where()
    usual = anew(cafile=file)

    def create(*words: Any, **named: Any) -> ssl.SSLContext:
        return usual if not words and named == {"cafile": file} else anew(*words, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for each process of pytest-xdist."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[OwnServer]:
    """One that may be stopped and killed, whatever TEST_DATABASE_URL says."""
    try:
        with own_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL, of this test alone."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database with the schema, which others are copied from: to migrate takes ten times as long."""
    with postgres.new_database() as url:
        schemas.make(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def postgres_copies(postgres: PostgresServer, postgres_template: str) -> Iterator[Copies]:
    """The databases that tests have one after another."""
    with closing(Copies(postgres, postgres_template)) as copies:
        yield copies


@pytest.fixture
def postgres_url(postgres_copies: Copies) -> Iterator[str]:
    """The URL of a database on PostgreSQL that has the schema and nothing else, while this test lasts."""
    with postgres_copies.one() as url:
        schemas.mark_as_made(url)
        yield url


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of this test alone: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hashdb.sqlite"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same of one that has the schema and nothing else."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/hashdb.sqlite"
        schemas.make(url)
        return url
    copied: str = request.getfixturevalue("postgres_url")
    return copied


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """No test has examples in its docstrings: what looks for them in hashdb need not read each test as well."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs the server says so, for `-m "not postgres"`."""
    for item in items:
        if "postgres" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collected tests and their modules out of each later garbage collection: they stay to the end."""
    gc.collect()
    gc.freeze()
    # Python's default of 700 new objects is less than one request makes: searches would take a tenth of the time.
    gc.set_threshold(20_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With HASHDB_REQUIRE_ALL=1 nothing that can be installed is skipped: what cannot run has failed."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not _excused(report):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole files, as pytest.importorskip skips them."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        _fail(report)
    return report


def _excused(report: pytest.TestReport) -> bool:
    """Whether what is missing is not for a package to install: pictures that stand beside the repository, or not."""
    return NO_REFERENCE in str(report.longrepr)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"HASHDB_REQUIRE_ALL=1, but {reason}"
