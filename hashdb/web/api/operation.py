"""What needs no key: health, the OpenAPI document and its page."""

from __future__ import annotations

from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, jsonify, render_template

from hashdb.service import health
from hashdb.web.context import answer, hashdb
from hashdb.web.openapi import operation
from hashdb.wire.health import HealthOut, ReadyOut

blueprint = APIBlueprint("operation", __name__, tag="Operation")


@blueprint.get("/healthz")
@operation(blueprint, {200: HealthOut}, scopes=None)
def alive() -> Response:
    """Tell that the process is alive."""
    return answer(HealthOut.model_construct(status="alive"))


@blueprint.get("/readyz")
@operation(blueprint, {200: ReadyOut}, scopes=None)
def ready() -> Response:
    """Tell that the store answers and that the index is level with it."""
    return answer(ReadyOut.model_construct(status="ready", checkpoint=health.ready(hashdb())))


@blueprint.get("/openapi.json")
@blueprint.doc(hide=True)
def openapi() -> Response:
    """The OpenAPI document."""
    assert isinstance(current_app, APIFlask)
    return jsonify(current_app._get_spec("json"))


@blueprint.get("/docs")
@blueprint.doc(hide=True)
def docs() -> Response:
    """The OpenAPI document as a page."""
    return Response(render_template("docs.html"))
