"""Check from cron that the log is append-only. Set HASHDB_URL and HASHDB_KEY (scope audit); pass a checkpoint file."""

from __future__ import annotations

import sys
from pathlib import Path

from hashdb import Client
from hashdb.errors import BadNote, HashDBError, LogRewritten

checkpoint_file = Path(sys.argv[1])
try:
    with Client.from_environment() as client:
        checked = client.check(checkpoint_file.read_text("utf-8") if checkpoint_file.exists() else None)
except (BadNote, LogRewritten) as alarm:
    sys.exit(f"ALARM: {alarm}")  # the old checkpoint stays as evidence; cron mails this message
except HashDBError as error:
    sys.exit(f"not checked: {error}")
if checked.new_key:
    print(f"signed by a new key: {checked.key}")
# Replace the file in one step, so that a crash never leaves an incomplete checkpoint.
new_file = checkpoint_file.with_suffix(".new")
new_file.write_text(checked.note, "utf-8")
new_file.replace(checkpoint_file)
