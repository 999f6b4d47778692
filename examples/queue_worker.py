"""Match a queue of uploads in batches. Set HASHDB_URL and HASHDB_KEY (scope match); pass file names on stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from queue import Queue
from threading import Thread

from hashdb import Client, Query, hash_file
from hashdb.errors import UnreadablePicture

uploads: Queue[Path | None] = Queue()


def work(client: Client) -> None:
    """Match the waiting uploads, at most 100 per request, until `None` arrives in the queue."""
    algorithms, batch = tuple(client.me().algorithms), list[Path | None]()
    while None not in batch:
        batch = [uploads.get(), *(uploads.get() for _ in range(min(uploads.qsize(), 99)))]
        queries = []
        for path in filter(None, batch):
            try:
                queries.append(Query(hash_file(path, algorithms).signals, id=str(path)))
            except UnreadablePicture as error:
                print(f"{path}: {error}", file=sys.stderr)
        for result in client.match(queries).results if queries else ():  # the client retries while the service is busy
            print(f"{result.id}: {result.action}", flush=True)


if __name__ == "__main__":
    with Client.from_environment() as client:
        worker = Thread(target=work, args=[client])
        worker.start()
        for line in sys.stdin:
            uploads.put(Path(line.rstrip("\n")))
        uploads.put(None)
        worker.join()
