"""hashdb backup, restore: write a service into one file, and restore a service from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

import hashdb
from hashdb.cli.help import Command
from hashdb.cli.home import empty_log, lock_home, open_configured, open_home, prepare_home
from hashdb.cli.options import FILE, FOLDER
from hashdb.cli.output import as_json, escape_controls, print_json
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.times import format_instant
from hashdb.errors import BackupFailed, HashDBError, os_reason
from hashdb.index.folder import lock_folder
from hashdb.service import backups, open_hashdb, system_clock
from hashdb.service.ledger.signing import Signing
from hashdb.service.ledger.verification import verify
from hashdb.settings import Settings
from hashdb.store import Store

FORMAT = 1
ABOUT, DATABASE, RECORD, KEY = "backup.json", "database", "checkpoints.txt", "signing.key"
"""The parts of a backup, by name: facts about it, the database, and optionally the signed checkpoints and the key."""
_NAME_IN_FOLDER = re.compile(r"hashdb-\d{8}T\d{6}Z(\.verified)?\.tar")
"""The name of a backup in the folder of --into."""
_VERIFIED, _FAILED = ".verified.tar", ".failed.tar"
_LOCK_FILES = frozenset({"serve.lock", "schema.lock", "copy.lock"})


@click.command(
    "backup", cls=Command, examples=("hashdb backup backup.tar", "hashdb backup --into backups --keep 14 --verify")
)
@click.argument("file", required=False, type=FILE)
@click.option(
    "--with-key", is_flag=True, help="Include the key that signs the log. Without this option, keep the key elsewhere."
)
@click.option(
    "--into",
    type=FOLDER,
    help="Write into this folder instead, to a file named by the time, like hashdb-20261128T030000Z.tar.",
)
@click.option("--keep", type=click.IntRange(1), help="With --into: delete all backups of this log except the newest N.")
@click.option("--verify", is_flag=True, help="Restore the backup into a scratch database, and verify the log there.")
@as_json
def backup_command(
    file: Path | None, with_key: bool, into: Path | None, keep: int | None, verify: bool, as_json: bool
) -> None:
    """Back up the whole service into one file.

    The backup has the database, the record of signed checkpoints and, with --with-key, the key that signs the audit
    log. It does not have the index, which the service builds from the database. The service may run meanwhile. The
    backup needs twice its size on the disk of FILE.

    --verify restores the backup into a scratch database, which is deleted afterwards (with SQLite, a file beside FILE).
    A verified backup in the folder of --into ends with `.verified.tar`. If the verification fails, the backup is
    renamed to `.failed.tar`, and earlier `.failed.tar` files are deleted.

    --keep never deletes the newest verified backup, nor a file that is not a backup of this log.
    """
    settings = Settings.read()
    if (file is None) == (into is None):
        raise click.UsageError("give either a FILE or a folder with --into")
    if file is not None:
        if keep is not None:
            raise click.UsageError("--keep needs --into: it deletes backups in that folder")
        _print_backup(file, _write_backup(settings, file, with_key=with_key, verify=verify), [], as_json)
        return
    assert into is not None
    try:
        with lock_folder(into) as acquired:
            if not acquired:
                raise BackupFailed(f"another backup is being written into {into}: wait until it ends")
            file = dated_path(into, system_clock())
            try:
                about = _write_backup(settings, file, with_key=with_key, verify=verify)
            except HashDBError:
                if verify and file.exists():
                    mark_failed(file)
                raise
            if verify:
                file = file.rename(file.with_suffix(_VERIFIED))
            _print_backup(file, about, [] if keep is None else rotate(into, keep, about["log"], file), as_json)
    except OSError as error:
        raise BackupFailed(f"{into} cannot be written: {os_reason(error)}") from None


def _write_backup(settings: Settings, file: Path, *, with_key: bool, verify: bool) -> dict[str, Any]:
    """Write a backup into a new file. If `verify`, also restore it into a scratch database, and verify the log there.

    Returns the fields to print.
    """
    if file.exists():
        raise BackupFailed(f"{file} already exists: choose another name")
    with open_home(settings) as db:
        with scratch_folder(file) as folder:
            if not db.store.head().seq:
                raise empty_log()
            parts = {ABOUT: folder / ABOUT, DATABASE: folder / DATABASE}
            # Copied before the database, so that its log has at least the events of these checkpoints.
            for name, path in ((RECORD, settings.home / RECORD), (KEY, settings.signing_key)):
                if path.exists() and (name != KEY or with_key):
                    parts[name] = Path(shutil.copyfile(path, folder / name))
            if with_key and KEY not in parts:
                raise BackupFailed(f"there is no key to include: {settings.signing_key} does not exist")
            log, seq = backups.log_backup(db, COMMAND_LINE, with_key=with_key)
            db.store.copy_to(parts[DATABASE])
            about = {
                "format": FORMAT,
                "version": hashdb.__version__,
                "database": database_kind(db.store),
                "at": format_instant(system_clock()),
                "log": log,
            }
            parts[ABOUT].write_text(json.dumps(about, indent=1) + "\n", "utf-8")
            pack(parts, folder / "whole")
            # link() fails if the file was created meanwhile; rename() would replace it.
            os.link(folder / "whole", file)
        if verify:
            backups.log_verified(db, COMMAND_LINE, verify_restorable(settings, db.store, file, seq))
    return {"bytes": file.stat().st_size, "with_key": with_key, "verified": verify} | about


def _print_backup(file: Path, about: dict[str, Any], deleted: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file)} | about | {"deleted": deleted})
        return
    key = "" if about["with_key"] else "; it does not contain the key that signs the log"
    verified = "; restored into a scratch database and verified" if about["verified"] else ""
    click.echo(f"{escape_controls(file)}: {about['bytes']} bytes{verified}{key}")
    for name in deleted:
        click.echo(f"{escape_controls(name)}: deleted")


@click.command("restore", cls=Command, examples=("hashdb restore backup.tar",))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def restore_command(file: Path, as_json: bool) -> int:
    """Restore the service from a backup.

    The command restores FILE into HASHDB_HOME and HASHDB_DATABASE_URL, which must be empty. All readers of the log
    start over. Then it verifies the log. If the verification fails, it exits 1 and keeps the data.
    """
    settings = Settings.read()
    prepare_home(settings.home)
    with lock_home(settings.home), scratch_folder(settings.home / DATABASE) as folder:
        if left := sorted({path.name for path in settings.home.iterdir()} - _LOCK_FILES - {folder.name}):
            raise BackupFailed(f"{settings.home} is not empty (it has {left[0]}): restore into an empty folder")
        parts = unpack(file, folder)
        events = _restore_into(settings, parts)
        with closing(open_configured(settings)) as db:
            verdict = verify(db, COMMAND_LINE)
    findings = [str(finding) for finding in verdict.findings]
    if as_json:
        print_json({"events": events, "verified": not findings, "findings": findings, "with_key": KEY in parts})
        return 1 if findings else 0
    for finding in findings:
        click.echo(finding)
    click.echo(f"{events} events restored" + ("" if findings else "; the log verifies: nothing was rewritten"))
    if KEY not in parts:
        click.echo(
            f"before you start the service, copy the key that signs the log to {escape_controls(settings.signing_key)}"
        )
    return 1 if findings else 0


def verify_restorable(settings: Settings, live: Store, file: Path, seq: int) -> int:
    """Restore a backup into a scratch database, and verify the log there. Returns the number of its events.

    `live` is the service's database. Raises BackupFailed if the log does not verify, or has fewer than `seq` events.
    """
    with scratch_folder(file) as folder:
        parts = unpack(file, folder)
        with live.scratch(folder) as url:
            with closing(Store(url, settings.busy_seconds)) as store:
                store.fill_from(parts[DATABASE])
                store.migrate()
            signing = Signing(settings.signing_key, folder / RECORD, settings.origin)
            with closing(open_hashdb(url, settings.rules(), signing=signing)) as db:
                verdict = verify(db, COMMAND_LINE)
    if verdict.findings:
        raise BackupFailed(
            f"{file} was restored into a scratch database, and its log does not verify: {verdict.findings[0]}"
        )
    if verdict.size < seq:
        raise BackupFailed(
            f"{file} was restored into a scratch database: it has {verdict.size} events, and should have at least {seq}"
        )
    return verdict.size


def _restore_into(settings: Settings, parts: dict[str, Path]) -> int:
    """Restore the database, then the checkpoints and the key. Returns the number of events.

    The database comes first: with the key alone, a service would begin another log.
    """
    with closing(Store(settings.database, settings.busy_seconds)) as store:
        if (backup_kind := json.loads(parts[ABOUT].read_bytes()).get("database")) != database_kind(store):
            raise BackupFailed(
                f"the backup is from {backup_kind}, but HASHDB_DATABASE_URL names {database_kind(store)}: use the same"
                " database"
            )
        store.fill_from(parts[DATABASE])
        store.migrate()
    for name, path in ((RECORD, settings.home / RECORD), (KEY, settings.signing_key)):
        if name in parts:
            if path.exists():
                raise BackupFailed(f"{path} already exists: move it away first")
            shutil.copyfile(parts[name], path)
            path.chmod(0o600)
    with closing(open_configured(settings)) as db:
        return backups.log_restored(db, COMMAND_LINE)


def database_kind(store: Store) -> str:
    """The kind of database, which a backup names: it can only be restored into the same kind."""
    return "SQLite" if store.embedded else "PostgreSQL"


def pack(parts: dict[str, Path], whole: Path) -> None:
    """Write the parts into one tar file, without the owner's name and ids."""
    with tarfile.open(whole, "x") as archive:
        for name, path in parts.items():
            archive.add(path, name, filter=_without_owner)


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def unpack(file: Path, folder: Path) -> dict[str, Path]:
    """Extract a backup into a folder; its parts by name. Raises BackupFailed if the file is not a backup."""
    parts: dict[str, Path] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            for name in (ABOUT, DATABASE, RECORD, KEY):
                entry = archive.getmember(name) if name in archive.getnames() else None
                if entry is not None and (content := archive.extractfile(entry)) is not None:
                    parts[name] = folder / name
                    with content, parts[name].open("xb") as part:
                        shutil.copyfileobj(content, part)
        format = json.loads(parts[ABOUT].read_bytes())["format"]
    except (tarfile.TarError, KeyError, TypeError, ValueError):
        raise BackupFailed(f"{file} is not a backup of hashdb, or it is damaged") from None
    except OSError as error:
        raise BackupFailed(f"{file} cannot be unpacked: {os_reason(error)}") from None
    if format != FORMAT or DATABASE not in parts:
        raise BackupFailed(f"{file} was made by another version of hashdb, whose format this version cannot read")
    return parts


@contextmanager
def scratch_folder(file: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as `file`. Raises BackupFailed."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as name:
            yield Path(name)
    except HashDBError:
        raise
    except OSError as error:
        raise BackupFailed(f"{file} cannot be written: {os_reason(error)}") from None


def dated_path(folder: Path, now: datetime) -> Path:
    """The path of a backup made at `now` in a folder; names sort by time. Raises BackupFailed if it exists."""
    file = folder / f"hashdb-{now:%Y%m%dT%H%M%SZ}.tar"
    for existing in (file, file.with_suffix(_VERIFIED)):
        if existing.exists():
            raise BackupFailed(f"{existing} already exists: try again in a second")
    return file


def mark_failed(file: Path) -> None:
    """Rename a backup whose verification failed to `.failed.tar`, and delete earlier failed backups of its log.

    So repeated failures do not fill the disk.
    """
    log = _read_log_name(file)
    for path in file.parent.glob(f"hashdb-*Z{_FAILED}"):
        if log is not None and _read_log_name(path) == log:
            path.unlink(missing_ok=True)
    file.rename(file.with_suffix(_FAILED))


def rotate(folder: Path, keep: int, log: str, new: Path) -> list[str]:
    """Delete all backups of a log in a folder but the newest `keep` and the newest verified one. Returns their names.

    The backup that was just written, `new`, stays, also if the clock went back and others seem newer. All other files
    stay: those with another name, of another log, or that cannot be read as a backup. The scratch folders that killed
    backups left are deleted, too.
    """
    for path in folder.glob(".hashdb-*.tar-*"):
        if _NAME_IN_FOLDER.fullmatch(path.name[1:].rpartition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)
    backups = [
        path
        for path in sorted(folder.iterdir(), reverse=True)
        if _NAME_IN_FOLDER.fullmatch(path.name)
        and path.is_file()
        and not path.is_symlink()
        and _read_log_name(path) == log
    ]
    kept = {new, *backups[:keep], *[path for path in backups if path.name.endswith(_VERIFIED)][:1]}
    deleted = [path for path in backups if path not in kept]
    for path in deleted:
        path.unlink(missing_ok=True)
    return [path.name for path in deleted]


def _read_log_name(file: Path) -> str | None:
    """The name of the log in a backup; None if the file names none or cannot be read."""
    with suppress(tarfile.TarError, KeyError, TypeError, ValueError, AttributeError, OSError):
        with tarfile.open(file, "r:") as archive:
            about = archive.extractfile(ABOUT)
            log = json.loads(about.read())["log"] if about is not None else None
        return log if isinstance(log, str) else None
    return None
