"""/console/views: the saved views of the user and of others, and the row of them above each list."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from flask import Response, request, url_for

from hashdb.domain.accounts.saved_views import SavedView, clean_query
from hashdb.service.accounts import saved_views
from hashdb.web.console import guard, pages
from hashdb.web.console.pages import Form
from hashdb.web.context import hashdb
from hashdb.wire.users import ViewChangeIn, ViewIn

blueprint = pages.blueprint_of("views")


@blueprint.get("")
def browse() -> Response:
    """List the views that the user sees."""
    return _page(Form())


@blueprint.post("")
def save() -> Response:
    """Save the filter and the order of a list, and go back to it."""
    sent = Form.sent()
    try:
        fields = {**_changeable(sent), "page": sent.text("page"), "query": sent.text("query")}
        draft = pages.read_fields(ViewIn, fields)
        view = saved_views.add(hashdb(), guard.session(), draft.to_domain())
    except pages.REFUSALS as error:
        return _page(sent.refused(error))
    response = pages.redirect(view_address(view))
    guard.put_notice(response, f"The view {view.name} was saved.")
    return response


@blueprint.post("/<id:view_id>")
def change(view_id: int) -> Response:
    """Rename a view, share it, or stop sharing it."""
    sent = Form.sent()
    try:
        requested = pages.read_fields(ViewChangeIn, _changeable(sent))
        view = saved_views.change(hashdb(), guard.session(), view_id, requested.name, shared=requested.shared)
    except pages.REFUSALS as error:
        return _page(sent.refused(error), view_id)
    shared = "All users see it." if view.shared else "Only you see it."
    return pages.redirect_with_notice(f"The view {view.name} was changed. {shared}", "views.browse")


@blueprint.post("/<id:view_id>/removal")
def remove(view_id: int) -> Response:
    """Remove a view."""
    view = saved_views.remove(hashdb(), guard.session(), view_id)
    return pages.redirect_with_notice(f"The view {view.name} was removed.", "views.browse")


def view_address(view: SavedView) -> str:
    """The URL of the list with the filter and the order of the view."""
    return f"{url_for(f'console.{view.page}.browse')}?{view.query}"


def row() -> dict[str, Any]:
    """For the row of views above a list: its name, its filter and order as a query string, and the views of it."""
    name = str(request.blueprint).rpartition(".")[2]
    query = clean_query(request.query_string.decode("ascii", "replace"))
    return {"name": name, "query": query, "views": saved_views.visible(hashdb(), guard.session(), name)}


def _changeable(sent: Form) -> dict[str, object]:
    return {"name": sent.text("name"), "shared": sent.text("shared") == "yes"}


def _page(form: Form, changed: int | None = None) -> Response:
    """The page of the views; `changed` is the id of the view whose form was refused."""
    return pages.page(
        "views.html", form=form, changed=changed, views=saved_views.visible(hashdb(), guard.session()), fields=parse_qsl
    )
