"""The WSGI application of a worker of `hashdb serve`, from HASHDB_HOME, to run in other servers."""

from __future__ import annotations

from threading import Event

from hashdb.cli.serve import fill_index
from hashdb.http_server.log_lines import write_json_lines
from hashdb.service import open_hashdb, schedule
from hashdb.service.background import Task
from hashdb.settings import Settings
from hashdb.web import create_app

write_json_lines()
_settings = Settings.read()
_db = open_hashdb(_settings.database, _settings.rules(), index=_settings.home / "index")
schedule.start(_db, Event(), {Task.FILL: fill_index})
app = create_app(_db, _settings)
