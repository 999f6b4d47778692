"""Health, metrics, the OpenAPI document and its page, and the redirect from the root to the console."""

from __future__ import annotations

from flask import Response, render_template, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.errors import NotFound
from hashdb.http_server.prometheus_multiprocess import CONTENT_TYPE
from hashdb.service import health
from hashdb.web.context import app_state, hashdb
from hashdb.web.openapi import document
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire.problems import HealthOut, ReadyOut

blueprint = ApiBlueprint("operation", tag="Operation", about="For operators: health and metrics.", url_prefix="")


@blueprint.get("/healthz")
@operation({200: HealthOut}, any_scope=None)
def check_liveness() -> HealthOut:
    """Check that the process is alive.

    Use it to decide whether to restart the process. It does not use the database.
    """
    return HealthOut.build(status="alive")


@blueprint.get("/readyz")
@operation({200: ReadyOut}, any_scope=None)
def check_readiness() -> ReadyOut:
    """Check that the service is ready.

    It is ready if the database answers and the index has caught up with the log; else the response is 503.
    """
    return ReadyOut.build(status="ready", checkpoint=health.require_ready(hashdb()))


@blueprint.get("/metrics")
@operation({200: str}, any_scope=[Scope.ADMIN], errors=[404])
def get_metrics() -> Response:
    """Get the metrics for Prometheus.

    Covers all workers since the service started, and what the database holds. If the metrics have a port of their own,
    the response here is 404.
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


@blueprint.get("/", strict_slashes=False)
def root() -> Response:
    """Redirect to the console."""
    return Response(status=302, headers={"Location": url_for("console.landing")})
