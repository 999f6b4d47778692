"""/console/compare: two files of the reviewer's own, side by side. Nothing is stored."""

from __future__ import annotations

from typing import NamedTuple

from flask import Response, request

from hashdb.domain.contributions import Draft
from hashdb.domain.frames import split_shots
from hashdb.errors import Fault, InvalidInput, MediaRefused, TextRefused, TooLarge, UnreadablePicture, reject
from hashdb.hashing import Mode
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL
from hashdb.http_server.forms import check_size
from hashdb.http_server.media import HashedFile
from hashdb.http_server.uploads import Upload
from hashdb.service.matching import comparisons
from hashdb.service.matching.comparisons import Comparison
from hashdb.web.console import frames, pages
from hashdb.web.console.filters import counted
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import ToHash, hash_uploads
from hashdb.web.context import actor, app_state, hashdb

blueprint = pages.blueprint_of("compare")
_FIELDS = (("first", Mode.TRANSFORMS, QUERY_INTERVAL), ("second", Mode.BALANCED, INTERVAL))
"""The fields of the form, each with the mode and the interval (seconds of a video) at which its file is hashed.

The first file is hashed as a query, the second as a contribution.
"""
_POLICY = f"{pages.POLICY}; media-src blob:"
"""The console's policy. The page also plays the videos that were chosen, which only the browser has."""


class Compared(NamedTuple):
    """What the page shows of two items. `joined` has the lines of both, if they have segments in common."""

    comparison: Comparison
    first: HashedFile
    second: HashedFile
    joined: frames.Joined

    @property
    def are_pictures(self) -> bool:
        """Whether both are pictures."""
        return not self.first.has_parts and not self.second.has_parts

    @property
    def noun(self) -> str:
        """What a frame of the first is called: frame, page or window; part if there are pages and windows."""
        return frames.frame_noun(self.first.frames)

    @property
    def verdict(self) -> str:
        """Whether the first would match the second, and why."""
        comparison, details = self.comparison, self.comparison.details
        algorithms = list(dict.fromkeys(pair.queried.algorithm for pair in comparison.view_pairs if pair.agrees))
        if comparison.refused:
            return "no, the second cannot be contributed"
        if comparison.verdict is not None and comparison.verdict.contradicted:
            return "no, contradicted by the evidence"
        if not comparison.is_match and comparison.hits:
            return f"no, too few consecutive {self.noun}s match"
        if not comparison.is_match:
            return f"no, by {algorithms[0]} alone" if algorithms else "no, too far"
        if reason := frames.describe_match(comparison.digest, details, self.noun):
            return reason
        if details.at:
            return f"yes, the second shows it {counted(len(details.at), 'time')}"
        if details.pages:
            return f"yes, {counted(len(details.pages), 'page')} of the second show it"
        return f"yes, by {' and '.join(algorithms)}"


@blueprint.get("")
def ask() -> Response:
    """Show the form for two files."""
    return _page(Form())


@blueprint.post("")
def compare() -> Response:
    """Show whether the first would match the second, and why."""
    form = Form.sent()
    try:
        first, second = hash_uploads(_read_files())
    except InvalidInput as error:
        return _page(form.refused(error))
    draft = Draft(second.hashed.signals, labels=(), removed_at=None, quality=second.hashed.quality)
    query, listed = first.to_query(), second.in_draft(draft)
    comparison = comparisons.compare(hashdb(), actor(), query, listed)
    shots = list(split_shots(query.frames))
    joined = frames.join(shots, query.duration, comparison.shots, listed.duration, comparison.details)
    return _page(form, Compared(comparison, first, second, joined))


def _read_files() -> list[ToHash]:
    """The two files: the first as a query, the second as it is listed. Raises InvalidInput at each field."""
    settings = app_state().settings
    faults: list[Fault] = []
    files: list[ToHash] = []
    for field, mode, interval in _FIELDS:
        file = request.files.get(field)
        upload = None if file is None else file.stream
        if not settings.accept_media:
            faults.append(Fault(field, str(MediaRefused())))
        elif not isinstance(upload, Upload) or not upload.size:
            faults.append(Fault(field, "is required: choose a file"))
        else:
            try:
                if not upload.is_video:
                    check_size(upload, settings.media_max_bytes)
            except (TooLarge, UnreadablePicture) as error:
                faults.append(Fault(field, str(error)))
            if upload.is_document and not pages.takes_text():
                faults.append(Fault(field, str(TextRefused())))
            files.append(ToHash(field, upload, mode, interval))
    reject(faults)
    return files


def _page(form: Form, compared: Compared | None = None) -> Response:
    response = pages.page("compare.html", form=form, compared=compared)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
