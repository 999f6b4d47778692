"""/console/theme: light, dark, or as the system has it."""

from __future__ import annotations

from flask import Response, request

from hashdb.errors import Fault, InvalidInput
from hashdb.web.console import cookies, pages

blueprint = pages.blueprint_of("looks", __name__, "/theme")
_THEMES = ("light", "dark", "system")


@blueprint.post("")
def theme() -> Response:
    """Keep a theme, and go back to where one was."""
    chosen = request.form.get("theme", "")
    if chosen not in _THEMES:
        raise InvalidInput((Fault("theme", f"is one of {', '.join(_THEMES)}"),))
    response = pages.to(pages.local(request.form.get("next", "")))
    cookies.put_theme(response, chosen)
    return response
