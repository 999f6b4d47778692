"""hashdb restore: a service made anew from a backup."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import click

from hashdb.cli.archives import ABOUT, DATABASE, KEY, RECORD, beside, kind, unpack
from hashdb.cli.home import prepare_home, serving_alone, signing_of
from hashdb.cli.output import as_json, escaped, print_json
from hashdb.domain.members import COMMAND_LINE
from hashdb.errors import BackupFailed
from hashdb.service import backups, open_hashdb
from hashdb.service.signing import Signing
from hashdb.service.verification import verify
from hashdb.settings import Settings
from hashdb.store import Store

_LOCKS = frozenset({"serve.lock", "schema.lock", "copy.lock"})
_FAILED = 1


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def command(file: Path, as_json: bool) -> int:
    """Make the service of FILE anew: into HASHDB_HOME and HASHDB_DATABASE_URL, which must be empty.

    Everybody who reads the log starts over, and it is verified. Exits 1 where it does not verify: it is there all the
    same.
    """
    settings = Settings.read()
    prepare_home(settings.home)
    with serving_alone(settings.home), beside(settings.home / DATABASE) as folder:
        if left := sorted({path.name for path in settings.home.iterdir()} - _LOCKS - {folder.name}):
            raise BackupFailed(f"{settings.home} is not empty (it has {left[0]}): restore into an empty home")
        parts = unpack(file, folder)
        events = _fill(settings, parts)
        with closing(open_hashdb(settings.database, settings.rules(), signing=signing_of(settings))) as db:
            verdict = verify(db, COMMAND_LINE)
    findings = [str(finding) for finding in verdict.findings]
    if as_json:
        print_json({"events": events, "verified": not findings, "findings": findings, "with_key": KEY in parts})
        return _FAILED if findings else 0
    for finding in findings:
        click.echo(finding)
    click.echo(f"{events:,} events are restored" + ("" if findings else ", and nothing of them was rewritten"))
    if KEY not in parts:
        click.echo(f"before you serve, put the key that signs the log at {escaped(settings.signing_key)}")
    return _FAILED if findings else 0


def tried(settings: Settings, live: Store, file: Path, seq: int) -> int:
    """Restore a backup into a scratch database beside the one in use, and verify it there; how many events it has.

    It must have the event `seq`. Raises BackupFailed, where it does not verify.
    """
    with beside(file) as folder:
        parts = unpack(file, folder)
        with live.scratch(folder) as url:
            store = Store(url, settings.busy_seconds)
            try:
                store.fill_from(parts[DATABASE])
                store.migrate()
            finally:
                store.close()
            signing = Signing(settings.signing_key, folder / RECORD, settings.origin)
            with closing(open_hashdb(url, settings.rules(), signing=signing)) as db:
                verdict = verify(db, COMMAND_LINE)
    if verdict.findings:
        raise BackupFailed(f"{file} was restored on trial, and its log does not verify: {verdict.findings[0]}")
    if verdict.size < seq:
        raise BackupFailed(f"{file} was restored on trial, and has {verdict.size} events of at least {seq}")
    return verdict.size


def _fill(settings: Settings, parts: dict[str, Path]) -> int:
    """The database first: with the key alone, a service would begin another log."""
    store = Store(settings.database, settings.busy_seconds)
    try:
        if (of := json.loads(parts[ABOUT].read_bytes()).get("database")) != kind(store):
            raise BackupFailed(f"the backup is of {of}, and HASHDB_DATABASE_URL is of {kind(store)}")
        store.fill_from(parts[DATABASE])
        store.migrate()
    finally:
        store.close()
    for name, path in ((RECORD, settings.home / RECORD), (KEY, settings.signing_key)):
        if name in parts:
            if path.exists():
                raise BackupFailed(f"{path} is there already")
            shutil.copyfile(parts[name], path)
            path.chmod(0o600)
    with closing(open_hashdb(settings.database, settings.rules())) as db:
        return backups.restored(db, COMMAND_LINE)
