"""The application for a server that is tried: as a worker of `hashdb serve` has it, from HASHDB_HOME."""

from __future__ import annotations

from threading import Event, Thread

from hashdb.cli.serve import _keep_up
from hashdb.service import open_hashdb
from hashdb.settings import Settings
from hashdb.web import create_app
from hashdb.web.logs import write_json_lines

write_json_lines()
_settings = Settings.read()
_db = open_hashdb(_settings.database, _settings.rules(), index=_settings.home / "index")
Thread(target=_keep_up, args=(_db, Event()), daemon=True).start()
app = create_app(_db, _settings)
