"""hashdb backup: all that a service is, in one file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

import hashdb
from hashdb.cli.archives import (
    ABOUT,
    DATABASE,
    FORMAT,
    KEY,
    RECORD,
    beside,
    dated,
    kind,
    mark_failed,
    mark_verified,
    pack,
    rotate,
)
from hashdb.cli.home import opened
from hashdb.cli.output import as_json, escaped, print_json
from hashdb.cli.restore import tried
from hashdb.domain.instants import format_instant
from hashdb.domain.members import COMMAND_LINE
from hashdb.errors import BackupFailed, BadSetting, HashDBError
from hashdb.index.folder import locked
from hashdb.service import backups, system_clock
from hashdb.settings import Settings


@click.command("backup")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-key", is_flag=True, help="Put in the key that signs the log; without it, keep that elsewhere.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write into this folder instead, under a name with the time, like hashdb-20261128T030000Z.tar.",
)
@click.option("--keep", type=click.IntRange(1), help="With --into: delete all but the newest N backups of this log.")
@click.option("--verify", is_flag=True, help="Restore it into a scratch database, and verify the log there.")
@as_json
def command(
    file: Path | None, with_key: bool, into: Path | None, keep: int | None, verify: bool, as_json: bool
) -> None:
    """Write all that the service holds at one moment into FILE, also while it is served.

    Example: hashdb backup --into backups --keep 14 --verify

    The database, the record of signed checkpoints and, if asked for, the key that signs the log. The index is not in
    it: it is made from the database. For the time of the copy it takes its size twice on FILE's disk.

    With --verify a scratch database is made and dropped again (with SQLite, a file beside FILE), and a backup in the
    folder of --into gets a name that ends with .verified.tar. With --keep the newest verified backup is never deleted,
    and neither is a file that is no backup of this log. If the test fails, the file is named .failed.tar, and only an
    earlier .failed.tar is deleted.
    """
    settings = Settings.read()
    if (file is None) == (into is None):
        raise click.UsageError("give either a FILE or a folder with --into")
    if file is not None:
        if keep is not None:
            raise click.UsageError("--keep takes --into: it deletes backups of a folder")
        _tell(file, _written(settings, file, with_key, verify), [], as_json)
        return
    assert into is not None
    try:
        with locked(into) as mine:
            if not mine:
                raise BackupFailed(f"another backup is being written into {into}")
            file = dated(into, system_clock())
            try:
                about = _written(settings, file, with_key, verify)
            except HashDBError:
                if verify and file.exists():
                    mark_failed(file)
                raise
            if verify:
                file = mark_verified(file)
            _tell(file, about, [] if keep is None else rotate(into, keep, about["log"]), as_json)
    except OSError as error:
        raise BackupFailed(f"{into} cannot be written: {(error.strerror or '').lower()}") from None


def _written(settings: Settings, file: Path, with_key: bool, verify: bool) -> dict[str, Any]:
    """Write a backup into a file that is not there yet, and restore it on trial if asked for; what is told of it."""
    if file.exists():
        raise BackupFailed(f"{file} is there already")
    with opened(settings) as db:
        with beside(file) as folder:
            if not db.store.head().seq:
                raise BadSetting(
                    "HASHDB_HOME", "its log is empty (or HASHDB_DATABASE_URL's): name what the service uses"
                )
            parts = {ABOUT: folder / ABOUT, DATABASE: folder / DATABASE}
            # Before the database, whose log then has at least what these checkpoints are of.
            for name, path in ((RECORD, settings.home / RECORD), (KEY, settings.signing_key)):
                if path.exists() and (name != KEY or with_key):
                    parts[name] = Path(shutil.copyfile(path, folder / name))
            if with_key and KEY not in parts:
                raise BackupFailed(f"there is no key to put in: {settings.signing_key}")
            log, seq = backups.made(db, COMMAND_LINE, with_key=with_key)
            db.store.copy_to(parts[DATABASE])
            about = {
                "format": FORMAT,
                "version": hashdb.__version__,
                "database": kind(db.store),
                "at": format_instant(system_clock()),
                "log": log,
            }
            parts[ABOUT].write_text(json.dumps(about, indent=1) + "\n", "utf-8")
            pack(parts, folder / "whole")
            # Not over a file that has come meanwhile.
            os.link(folder / "whole", file)
        if verify:
            backups.verified(db, COMMAND_LINE, tried(settings, db.store, file, seq))
    return {"bytes": file.stat().st_size, "with_key": with_key, "verified": verify} | about


def _tell(file: Path, about: dict[str, Any], deleted: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file)} | about | {"deleted": deleted})
        return
    key = "" if about["with_key"] else "; the key that signs the log is not in it"
    verified = "; restored on trial and verified" if about["verified"] else ""
    click.echo(f"{escaped(file)}: {about['bytes']:,} bytes{verified}{key}")
    for name in deleted:
        click.echo(f"{escaped(name)}: deleted")
