"""Match what a queue of uploads brings, many at a time. Set HASHDB_URL and HASHDB_KEY (scope match); names on stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from queue import Queue
from threading import Thread

from hashdb import Client, Query, hash_file
from hashdb.errors import UnreadablePicture

uploads: Queue[Path | None] = Queue()


def work(client: Client) -> None:
    """Take what waits, a hundred at most, and ask about all of it in one request; `None` ends it."""
    algorithms, batch = tuple(client.me().algorithms), list[Path | None]()
    while None not in batch:
        batch = [uploads.get(), *(uploads.get() for _ in range(min(uploads.qsize(), 99)))]
        queries = []
        for path in filter(None, batch):
            try:
                queries.append(Query(hash_file(path, algorithms).signals, id=str(path)))
            except UnreadablePicture as refused:
                print(f"{path}: {refused}", file=sys.stderr)
        for result in client.match(queries).results if queries else ():  # sent again while the service is busy
            print(f"{result.id}: {result.action}", flush=True)


if __name__ == "__main__":
    with Client.from_environment() as client:
        worker = Thread(target=work, args=[client])
        worker.start()
        for line in sys.stdin:
            uploads.put(Path(line.rstrip("\n")))
        uploads.put(None)
        worker.join()
