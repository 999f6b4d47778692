"""What needs no key, and metrics: health, the OpenAPI document, its page, and what stands at the root."""

from __future__ import annotations

from flask import Response, render_template, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.errors import NotFound
from hashdb.service import health
from hashdb.web.context import answer, app_state, hashdb
from hashdb.web.metrics import CONTENT_TYPE
from hashdb.web.openapi import ApiBlueprint, document, operation
from hashdb.wire.problems import HealthOut, ReadyOut

blueprint = ApiBlueprint("operation", __name__, tag="Operation")


@blueprint.get("/healthz")
@operation({200: HealthOut}, scopes=None)
def alive() -> Response:
    """Tell that the process is alive."""
    return answer(HealthOut.model_construct(status="alive"))


@blueprint.get("/readyz")
@operation({200: ReadyOut}, scopes=None)
def ready() -> Response:
    """Tell that the store answers and that the index is level with it."""
    return answer(ReadyOut.model_construct(status="ready", checkpoint=health.ready(hashdb())))


@blueprint.get("/metrics")
@operation({200: str}, scopes=[Scope.ADMIN])
def metrics() -> Response:
    """Tell Prometheus what was counted since the service started, in all workers, and what the store holds.

    Where they have a port of their own, they are not here.
    """
    if app_state().settings.metrics_port is not None:
        raise NotFound("address")
    return Response(app_state().metrics.text(), content_type=CONTENT_TYPE)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document."""
    response = Response(document(), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/docs")
def docs() -> Response:
    """The OpenAPI document as a page."""
    return Response(render_template("docs.html"))


@blueprint.get("/")
def root() -> Response:
    """Lead people to the console."""
    return Response(status=302, headers={"Location": url_for("console.landing")})
