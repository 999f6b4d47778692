"""/console/debugger: what would match signals, a file, a text or an address, and why. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flask import Response

from hashdb.domain.matching.neighbors import NearContribution, neighbor_radius
from hashdb.domain.signals import Algorithm
from hashdb.errors import ExtraMissing, Fault, InvalidInput, MalformedRequest, reject
from hashdb.hashing import Mode
from hashdb.service.matching import alignments, neighbors
from hashdb.service.matching.neighbors import UNALTERED, SignalsByTransform
from hashdb.web.console import frames, pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import merge_signal_faults, read_item
from hashdb.web.context import actor, hashdb

blueprint = pages.blueprint_of("neighbors", "/debugger")
_MAX_NEAR = 200
"""How many near contributions the page shows."""


@blueprint.get("")
def ask() -> Response:
    """Show the form for what is searched for."""
    return _page(Form(), {})


@blueprint.post("")
def find() -> Response:
    """Show the contributions near what was sent, and the radius at which each would match."""
    return search(Form.sent())


def search(sent: Form) -> Response:
    """The page with the contributions near the file, address, text or signals in a form."""
    radii, faults = _read_radii(sent)
    try:
        item, incomplete = read_item(sent, Mode.TRANSFORMS if sent.text("transforms") else Mode.PLAIN)
        reject(faults)
        if item.frames:
            changed_radii = {algorithm: bits for algorithm, bits in radii.items() if bits != algorithm.radius}
            query = replace(item, radius=changed_radii)
            near_frames = alignments.list_near_frames(hashdb(), actor(), query, _MAX_NEAR)
            return _page(sent, radii, framed=frames.framed_query(item, near_frames, incomplete))
        signals = {UNALTERED: item.signals, **item.transforms}
        near = neighbors.list_near_signals(hashdb(), actor(), signals, _MAX_NEAR, item.signatures)
    except (InvalidInput, MalformedRequest, ExtraMissing) as error:
        refused = merge_signal_faults(error) if isinstance(error, InvalidInput) else error
        return _page(sent.refused(refused), radii)
    return _page(sent, radii, near, signals)


def _read_radii(sent: Form) -> tuple[dict[Algorithm, int], list[Fault]]:
    """The radius of each algorithm in bits, the default in the place of an invalid one; and the faults."""
    radii, faults = {}, []
    for algorithm in hashdb().rules.searched_algorithms:
        chosen = sent.number(f"radius.{algorithm}")
        radii[algorithm] = chosen if isinstance(chosen, int) else algorithm.radius
        if isinstance(chosen, str) or radii[algorithm] > neighbor_radius(algorithm):
            faults.append(Fault(f"radius.{algorithm}", f"must be 0 to {neighbor_radius(algorithm)} bits"))
            radii[algorithm] = algorithm.radius
    return radii, faults


def _page(
    form: Form,
    radii: Mapping[Algorithm, int],
    near: tuple[NearContribution, ...] | None = None,
    signals: SignalsByTransform | None = None,
    framed: frames.FramedQuery | None = None,
) -> Response:
    rules, unaltered = hashdb().rules, (signals or {}).get(UNALTERED, ())
    all_radii = {algorithm: radii.get(algorithm, algorithm.radius) for algorithm in rules.searched_algorithms}
    return pages.page(
        "neighbors.html",
        form=form,
        algorithms=rules.searched_algorithms,
        radii=all_radii,
        neighbor_radius=neighbor_radius,
        near=near,
        matching=sum(neighbor.matches(all_radii) for neighbor in near or ()),
        benign=neighbors.nearest_benign(hashdb(), actor(), unaltered) if unaltered else (),
        unaltered=unaltered,
        framed=framed,
        counts=_counts(near or ()),
    )


def _counts(near: tuple[NearContribution, ...]) -> dict[Algorithm, list[tuple[int, int]]]:
    """For each algorithm, (distance, how many contributions that can match are within it) for each distance found."""
    counts: dict[Algorithm, list[tuple[int, int]]] = {}
    for algorithm in hashdb().rules.searched_algorithms:
        distances = sorted(
            neighbor.distance[algorithm]
            for neighbor in near
            if algorithm in neighbor.distance and neighbor.no_match_reason is None
        )
        # Of equal distances, the last one has the number of all within it.
        within = {bits: number for number, bits in enumerate(distances, 1)}
        counts[algorithm] = sorted(within.items())
    return counts
