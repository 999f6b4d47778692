"""Receive webhooks and read the changes. Set HASHDB_URL, HASHDB_KEY (scope feed) and WEBHOOK_SECRET."""

from __future__ import annotations

import os

from flask import Flask, request

from hashdb import Client
from hashdb.errors import FeedRestarted, NotSigned
from hashdb.webhooks import verify

app = Flask(__name__)
hashdb = Client.from_environment()
secret = os.environ["WEBHOOK_SECRET"]  # shown once, by `hashdb webhook add`
position: list[tuple[int, str | None]] = [(0, None)]  # store it on disk: reading continues from here


@app.post("/hook")
def hook() -> tuple[str, int]:
    try:
        message = verify(secret, request.headers, request.get_data())
    except NotSigned as error:
        return str(error), 401
    more = message.topic == "feed.changed"
    while more:  # if there are many changes, respond first and read them in a background queue
        try:
            page = hashdb.changes(position[0][0], epoch=position[0][1])
        except FeedRestarted:
            position[0] = (0, None)  # the service has another log: discard your copy and read everything again
            continue
        for change in page.changes:
            print(f"{change.seq}: {type(change.what).__name__}", flush=True)
        position[0], more = (page.checkpoint, page.epoch), page.more
    return "", 204


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
