"""Be told of changes by a webhook. Set HASHDB_URL and HASHDB_KEY (scope feed), and WEBHOOK_SECRET."""

from __future__ import annotations

import os

from flask import Flask, request

from hashdb import Client
from hashdb.errors import NotSigned
from hashdb.webhooks import verify

app = Flask(__name__)
hashdb = Client.from_environment()
secret = os.environ["WEBHOOK_SECRET"]  # shown once, by `hashdb webhook add`
place = {"seq": 0}  # keep it where it lasts: what is read on from here is complete, whatever was delivered twice


@app.post("/hook")
def hook() -> tuple[str, int]:
    try:
        message = verify(secret, request.headers, request.get_data())
    except NotSigned as refused:
        return str(refused), 401
    if message.topic == "feed.changed":
        page = hashdb.changes(place["seq"])  # of many changes: hand this to a queue, and answer at once
        for change in page.changes:
            print(f"{change.seq}: {type(change.what).__name__}", flush=True)
        place["seq"] = page.checkpoint
    return "", 204


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
