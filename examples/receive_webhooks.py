"""Be told of changes by a webhook. Set HASHDB_URL and HASHDB_KEY (scope feed), and WEBHOOK_SECRET."""

from __future__ import annotations

import os

from flask import Flask, request

from hashdb import Client
from hashdb.errors import FeedRestarted, NotSigned
from hashdb.webhooks import verify

app = Flask(__name__)
hashdb = Client.from_environment()
secret = os.environ["WEBHOOK_SECRET"]  # shown once, by `hashdb webhook add`
place: list[tuple[int, str | None]] = [(0, None)]  # keep it where it lasts: what is read on from here is complete


@app.post("/hook")
def hook() -> tuple[str, int]:
    try:
        told = verify(secret, request.headers, request.get_data())
    except NotSigned as refused:
        return str(refused), 401
    more = told.topic == "feed.changed"
    while more:  # of many changes: hand this to a queue, and answer at once
        try:
            page = hashdb.changes(place[0][0], epoch=place[0][1])
        except FeedRestarted:
            place[0] = (0, None)  # the log is another one: drop what you keep of it, and read it anew
            continue
        for change in page.changes:
            print(f"{change.seq}: {type(change.what).__name__}", flush=True)
        place[0], more = (page.checkpoint, page.epoch), page.more
    return "", 204


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
