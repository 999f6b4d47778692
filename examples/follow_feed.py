"""Keep a copy of the list in memory and follow its changes. Set HASHDB_URL and HASHDB_KEY (scope feed)."""

from __future__ import annotations

from hashdb import Client, Contribution, Gone
from hashdb.errors import FeedRestarted


def follow(client: Client) -> None:
    """Print each change; never return."""
    copy: dict[int, Contribution] = {}
    after, epoch = 0, None
    while True:
        try:
            page = client.changes(after, epoch=epoch, wait=20)
        except FeedRestarted:
            # The service has another log, for example after a restore: start over.
            copy.clear()
            after, epoch = 0, None
            continue
        for change in page.changes:
            content = change.what
            if isinstance(content, Gone):
                copy.pop(content.contribution, None)
                print(f"{change.seq}: contribution {content.contribution} is gone ({content.reason})", flush=True)
            else:
                copy[content.id] = content
                print(f"{change.seq}: contribution {content.id}, {len(copy)} in the copy", flush=True)
        after, epoch = page.checkpoint, page.epoch


if __name__ == "__main__":
    with Client.from_environment() as client:
        follow(client)
