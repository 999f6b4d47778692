"""Match each upload in a Flask handler. Set HASHDB_URL and HASHDB_KEY (scope match)."""

from __future__ import annotations

from flask import Flask, request

from hashdb import Algorithm, Client, Query, hash_picture
from hashdb.errors import HashDBError, UnreadablePicture

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)

app = Flask(__name__)
hashdb = Client.from_environment()  # create one client per process: its threads share the connections


@app.post("/uploads")
def upload() -> tuple[dict[str, object], int]:
    content = request.files["picture"].read()
    try:
        signals = hash_picture(content, ALGORITHMS).signals  # the picture stays on this machine
        (result,) = hashdb.match([Query(signals)]).results
    except UnreadablePicture as error:
        return {"error": str(error)}, 415
    except HashDBError as error:
        # A failed request does not mean "no match": hold the upload back and query again later.
        app.logger.warning("not matched: %s", error)
        return {"state": "waiting"}, 202
    if result.matches:
        # A match is advice to review: a person must decide before you remove content.
        return {"state": "review", "contributions": [match.contribution for match in result.matches]}, 202
    return {"state": "published"}, 201
