"""Check from cron that the log only grew. Set HASHDB_URL and HASHDB_KEY (scope audit); pass a checkpoint file."""

from __future__ import annotations

import sys
from pathlib import Path

from hashdb import Client
from hashdb.errors import BadNote, HashDBError, LogRewritten

kept = Path(sys.argv[1])
try:
    with Client.from_environment() as client:
        checked = client.check(kept.read_text("utf-8") if kept.exists() else None)
except (BadNote, LogRewritten) as alarm:
    sys.exit(f"ALARM: {alarm}")  # the kept checkpoint stays, as evidence; cron mails this message
except HashDBError as error:
    sys.exit(f"not checked: {error}")
if checked.new_key:
    print(f"signed by a new key: {checked.key}")
# Replace the file in one step, so that a crash never leaves half a checkpoint.
new = kept.with_suffix(".new")
new.write_text(checked.note, "utf-8")
new.replace(kept)
