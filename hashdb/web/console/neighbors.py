"""/console/debugger: what would match signals or a picture at each radius, and why. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response

from hashdb.domain.matching.matches import NearContribution, reach
from hashdb.domain.signals import Algorithm
from hashdb.errors import Fault, InvalidInput
from hashdb.hashing import Mode
from hashdb.service.matching import neighbors
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import Sides, grid, sides, together
from hashdb.web.context import actor, app_state, hashdb
from hashdb.wire.matching import spell_lines

blueprint = pages.blueprint_of("neighbors", __name__, "/debugger")
_NEAR = 200


@blueprint.get("")
def ask() -> Response:
    """Ask for signals or a picture."""
    return _page(Form(), {}, None)


@blueprint.post("")
def find() -> Response:
    """Show what is near to signals or a picture, and what of it would match at which radius."""
    sent = Form.sent()
    radii, faults = _radii(sent)
    try:
        found = sides(sent, Mode.TRANSFORMS if sent.text("transforms") else Mode.PLAIN)
        if faults:
            raise InvalidInput(tuple(faults))
        near = neighbors.around(hashdb(), actor(), found, _NEAR)
    except InvalidInput as error:
        return _page(sent.refused(together(error)), radii, None, status=422)
    sent.values["signals"] = spell_lines(found)
    return _page(sent, radii, near, found)


def _radii(sent: Form) -> tuple[dict[Algorithm, int], list[Fault]]:
    radii, faults = {}, []
    for one in hashdb().rules.algorithms:
        chosen = sent.number(f"radius.{one}")
        radii[one] = chosen if isinstance(chosen, int) else one.radius
        if isinstance(chosen, str) or radii[one] > reach(one):
            faults.append(Fault(f"radius.{one}", f"is 0 to {reach(one)} bits here"))
            radii[one] = one.radius
    return radii, faults


def _page(
    form: Form,
    radii: Mapping[Algorithm, int],
    near: tuple[NearContribution, ...] | None,
    asked: Sides | None = None,
    status: int = 200,
) -> Response:
    rules, own = hashdb().rules, (asked or {}).get("", ())
    chosen = {one: radii.get(one, one.radius) for one in rules.algorithms}
    return pages.page(
        "neighbors.html",
        status=status,
        form=form,
        algorithms=rules.algorithms,
        radii=chosen,
        reach=reach,
        near=near,
        matching=sum(one.matches(chosen) for one in near or ()),
        benign=neighbors.benign(hashdb(), actor(), own) if own else (),
        sides=asked or {},
        accept_media=app_state().settings.accept_media,
        grid=grid,
        counts=_counts(near or ()),
    )


def _counts(near: tuple[NearContribution, ...]) -> dict[Algorithm, list[tuple[int, int]]]:
    """For each algorithm, how many contributions that can match are within each distance at which there is one."""
    counts: dict[Algorithm, list[tuple[int, int]]] = {}
    for one in hashdb().rules.algorithms:
        found = sorted(each.distance[one] for each in near if one in each.distance and each.hindrance is None)
        last = {bits: place for place, bits in enumerate(found, 1)}
        counts[one] = sorted(last.items())
    return counts
