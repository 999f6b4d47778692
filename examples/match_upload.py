"""A Flask handler that asks hashdb about each upload. Set HASHDB_URL and HASHDB_KEY (scope match)."""

from __future__ import annotations

from flask import Flask, request

from hashdb import Algorithm, Client, Query, hash_picture
from hashdb.errors import HashDBError, UnreadablePicture

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)

app = Flask(__name__)
hashdb = Client.from_environment()  # one for the process: it keeps its connections, and threads may share it


@app.post("/uploads")
def upload() -> tuple[dict[str, object], int]:
    octets = request.files["picture"].read()
    try:
        signals = hash_picture(octets, ALGORITHMS).signals  # the picture stays here
        (result,) = hashdb.match([Query(signals)]).results
    except UnreadablePicture as refused:
        return {"error": str(refused)}, 415
    except HashDBError as error:
        # No answer must not mean "no match": let it wait, and ask again.
        app.logger.warning("not asked: %s", error)
        return {"state": "waiting"}, 202
    if result.matches:
        # Advice to review, never a command: a person decides before anything is removed.
        return {"state": "review", "contributions": [match.contribution for match in result.matches]}, 202
    return {"state": "published"}, 201
