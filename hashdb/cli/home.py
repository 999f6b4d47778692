"""The service's home for the commands: prepare and lock it, and open its HashDB."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.errors import BadSetting, CannotStart, HomeInUse, MoveFailed, StoreBusy, needing, os_reason
from hashdb.settings import Settings

if TYPE_CHECKING:
    # At run time, the commands of the member need none of these: SQLAlchemy and NumPy take half a second to load.
    from hashdb.index import OpenEngine
    from hashdb.service import HashDB
    from hashdb.service.ledger.signing import Signing

_PAGE = 1_000
"""How many items `list_all` reads at a time."""


class _Identified(Protocol):
    @property
    def id(self) -> int: ...


_Item = TypeVar("_Item", bound=_Identified)


def empty_log() -> BadSetting:
    """The error for a command about the log in a home that has none: it is probably not the home of the service."""
    return BadSetting(
        "HASHDB_HOME", "the audit log there is empty: set HASHDB_HOME and HASHDB_DATABASE_URL as for the service"
    )


@contextmanager
def open_home(settings: Settings | None = None, index: Path | None = None, **options: Any) -> Iterator[HashDB]:
    """The HashDB of these settings, by default those of the environment; closed at the end.

    An SQLite schema is created or migrated first. The index is in the folder `index`, or in memory. Further options are
    those of `open_hashdb`. Raises BadSetting, DatabaseAway, SchemaOutdated.
    """
    settings = settings or Settings.read()
    prepare_home(settings.home)
    with _lock(settings.home / "schema.lock"), naming_database(settings):
        db = open_configured(settings, index=index, **options)
    with closing(db):
        yield db


def open_configured(settings: Settings, **options: Any) -> HashDB:
    """The HashDB of these settings, with further options of `open_hashdb`, whose errors it raises."""
    from hashdb.service import open_hashdb

    return open_hashdb(
        settings.database,
        settings.rules(),
        busy_seconds=settings.busy_seconds,
        signing=configured_signing(settings),
        match_log=settings.match_log,
        **options,
    )


@contextmanager
def naming_database(settings: Settings) -> Iterator[None]:
    """Raise DatabaseAway, which names the database, instead of StoreBusy if no connection can be made."""
    from hashdb.store import connections

    try:
        yield
    except StoreBusy as error:
        raise connections.explain_busy(settings.database, error) from error


def configured_signing(settings: Settings) -> Signing:
    """The key with which this machine signs the log, and the file of the signed checkpoints."""
    from hashdb.service.ledger.signing import Signing

    return Signing(settings.signing_key, settings.home / "checkpoints.txt", settings.origin)


def configured_engine(settings: Settings) -> OpenEngine:
    """The constructor of the engine that HASHDB_INDEX names. Raises BadSetting, ExtraMissing."""
    if settings.index == "tiered":
        from hashdb.index.segment_store import SegmentStore

        return SegmentStore
    if settings.index == "bktree":
        from hashdb.index.bktree import BKTreeEngine

        return BKTreeEngine
    if not settings.milvus_uri:
        raise BadSetting("HASHDB_MILVUS_URI", "must be set for HASHDB_INDEX=milvus")
    with needing("milvus", "HASHDB_INDEX=milvus"):
        import_module("pymilvus")
    from hashdb.index.milvus import Milvus, MilvusEngine

    token = settings.milvus_token
    milvus = Milvus(settings.milvus_uri, "" if token is None else token.get_secret_value())
    return partial(MilvusEngine, milvus)


def prepare_home(home: Path) -> None:
    """Create the home, and let only the owner read it and all files made from now on. Raises BadSetting."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting("HASHDB_HOME", f"{home} cannot be created: {os_reason(error)}") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise BadSetting("HASHDB_HOME", f"{home} cannot be written to")
    # An existing home keeps its mode.
    os.umask(0o077)


def lock_home(home: Path) -> AbstractContextManager[None]:
    """Lock the home, so that no second service starts from it. Raises HomeInUse."""
    return _lock(home / "serve.lock", HomeInUse(str(home)))


def lock_copy(home: Path) -> AbstractContextManager[None]:
    """Lock the home against a second `hashdb copy-to`. Raises MoveFailed."""
    in_use = MoveFailed("another `hashdb copy-to` runs from this home: wait until it ends")
    return _lock(home / "copy.lock", in_use)


@contextmanager
def _lock(path: Path, in_use: CannotStart | None = None) -> Iterator[None]:
    """Lock a file. If another process has locked it, raise `in_use`; if that is None, wait."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if in_use else 0))
        except BlockingIOError:
            assert in_use is not None
            raise in_use from None
        yield


def list_all(db: HashDB, page: Callable[[HashDB, Actor, int, int], Sequence[_Item]]) -> list[_Item]:
    """Every item that a service's `page(db, actor, after, limit)` lists, in the order of the ids."""
    items: list[_Item] = []
    while rows := page(db, COMMAND_LINE, items[-1].id if items else 0, _PAGE):
        items += rows
    return items
