"""hashdb backup: all that a service is, in one file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import click

import hashdb
from hashdb.cli.archives import ABOUT, DATABASE, FORMAT, KEY, RECORD, beside, kind, pack
from hashdb.cli.home import opened
from hashdb.cli.output import as_json, escaped, print_json
from hashdb.domain.instants import format_instant
from hashdb.domain.members import COMMAND_LINE
from hashdb.errors import BackupFailed, BadSetting
from hashdb.service import backups, system_clock
from hashdb.settings import Settings


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-key", is_flag=True, help="Put in the key that signs the log; without it, keep that elsewhere.")
@as_json
def command(file: Path, with_key: bool, as_json: bool) -> None:
    """Write all that the service holds at one moment into FILE, also while it is served.

    The database, the record of signed checkpoints and, if asked for, the key that signs the log. The index is not in
    it: it is made from the database. For the time of the copy it takes its size twice on FILE's disk.
    """
    settings = Settings.read()
    if file.exists():
        raise BackupFailed(f"{file} is there already")
    with opened(settings) as db, beside(file) as folder:
        if not db.store.head().seq:
            raise BadSetting("HASHDB_HOME", "its log is empty (or HASHDB_DATABASE_URL's): name what the service uses")
        parts = {ABOUT: folder / ABOUT, DATABASE: folder / DATABASE}
        # Before the database, whose log then has at least what these checkpoints are of.
        for name, path in ((RECORD, settings.home / RECORD), (KEY, settings.signing_key)):
            if path.exists() and (name != KEY or with_key):
                parts[name] = Path(shutil.copyfile(path, folder / name))
        if with_key and KEY not in parts:
            raise BackupFailed(f"there is no key to put in: {settings.signing_key}")
        backups.made(db, COMMAND_LINE, with_key=with_key)
        db.store.copy_to(parts[DATABASE])
        about = {
            "format": FORMAT,
            "version": hashdb.__version__,
            "database": kind(db.store),
            "at": format_instant(system_clock()),
        }
        parts[ABOUT].write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        pack(parts, folder / "whole")
        # Not over a file that has come meanwhile.
        os.link(folder / "whole", file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "with_key": with_key} | about)
    else:
        click.echo(f"{escaped(file)}: {size:,} bytes{'' if with_key else '; the key that signs the log is not in it'}")
