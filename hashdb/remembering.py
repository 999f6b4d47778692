"""Requests of a client to a sidecar: to remember uploads, and for what look-back found."""

from __future__ import annotations

from collections.abc import Sequence

from hashdb import wire
from hashdb.connection import Asking, ClientRequest
from hashdb.domain.matching.lookback import REPORTS_A_REQUEST, LookBackReport, Upload
from hashdb.wire.problems import positions_from


class Remembering(Asking):
    """The routes of look-back, which a sidecar has."""

    def remember(self, uploads: Sequence[Upload]) -> int:
        """Have a sidecar remember uploads, up to a thousand a request, and return how many; they survive a crash then.

        Each request remembers all of them or none. InvalidInput names the faulty uploads by their positions in
        `uploads`; those of the requests before it are remembered then.
        """
        remembered = start = 0
        for part in wire.lookback.uploads_in_requests(uploads):
            text = wire.lookback.UploadsIn.from_domain(part).model_dump_json(exclude_unset=True)
            with positions_from(start):
                request = ClientRequest("POST", "/v1/remember", text)
                remembered += self._ask(wire.lookback.RememberedOut, request).remembered
            start += len(part)
        return remembered

    def remembered_matches(
        self, after: int | None = None, *, limit: int = REPORTS_A_REQUEST, wait: int = 0
    ) -> tuple[LookBackReport, ...]:
        """The reports of a sidecar with numbers above `after`, in order (None: those that are not acknowledged).

        If there is none, it waits up to `wait` seconds (at most 30) for one.
        """
        params = {"limit": limit, "wait": wait} | ({} if after is None else {"after": after})
        request = ClientRequest("GET", "/remembered/matches", params=params, extra_seconds=wait)
        return tuple(each.to_domain() for each in self._ask(wire.lookback.ReportsOut, request).reports)

    def acknowledge(self, number: int) -> None:
        """Tell a sidecar that all reports up to this number are handled: it does not return them again."""
        text = wire.lookback.AcknowledgedIn.build(number=number).model_dump_json()
        self._ask(wire.lookback.AcknowledgedOut, ClientRequest("POST", "/remembered/acknowledged", text))
