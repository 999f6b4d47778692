"""Sends the reports of look-back, signed, to an address of the member; what arrived is acknowledged."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

from hashdb.connection import Poster
from hashdb.domain.matching.lookback import LookBackReport
from hashdb.domain.sharing.webhooks import Message, encode_message, pause_after, secret_text, sign
from hashdb.errors import BadSetting, StoreBusy, os_reason
from hashdb.index.folder import lock_folder, opener
from hashdb.local.reports import Reports
from hashdb.wire.lookback import ReportOut

LOCK, SECRET = "webhook", "webhook.secret"
"""Names in the folder of the reports: the folder that the sending process locks, and the file of the secret."""
_SECRET_BYTES = 32
_TIMEOUT_SECONDS = 10.0
_WAIT_SECONDS = 1.0
"""How long the dispatcher waits for a report before it looks whether it is to stop."""
_LONGEST_PAUSES = 4
"""Attempts after which the pauses grow no more: they are ten minutes then. A report is never given up."""


def read_secret(file: Path) -> str:
    """The secret in a file, which is made if it is missing. Raises BadSetting."""
    try:
        if not file.exists():
            made = file.with_name(f"{file.name}.new")
            with open(made, "w", opener=opener) as text:
                text.write(f"{secret_text(secrets.token_bytes(_SECRET_BYTES))}\n")
            os.replace(made, file)
        secret = file.read_text("ascii").strip()
        # Raises ValueError if the secret cannot sign.
        sign(secret, "", 0, b"")
    except OSError as error:
        raise BadSetting("HASHDB_REMEMBER_SECRET_FILE", f"cannot be used: {file}: {os_reason(error)}") from None
    except ValueError:
        raise BadSetting("HASHDB_REMEMBER_SECRET_FILE", f"{file} must have whsec_ and base64") from None
    return secret


@contextmanager
def delivering(folder: Path, url: str | None, secret: Path | None, notify: Callable[[str], None]) -> Iterator[None]:
    """Send the reports in a folder in the background for the block, if there is a `url`.

    The file `secret` has the secret, by default one in the folder. `notify` is that of `Dispatcher`. Raises BadSetting.
    """
    if url is None:
        yield
        return
    reports = Reports(folder)
    with Dispatcher(reports, url, read_secret(secret or folder / SECRET), notify).running():
        yield


class Dispatcher:
    """Sends one report after the other: the next one once the one before arrived."""

    def __init__(self, reports: Reports, url: str, secret: str, notify: Callable[[str], None]) -> None:
        """Sends nothing yet. Raises BadSetting.

        `notify` is called with a sentence when the address stops or starts to answer, or reports cannot be read.
        """
        self._reports, self._secret, self._notify = reports, secret, notify
        self._poster = Poster(url, _TIMEOUT_SECONDS, "HASHDB_REMEMBER_WEBHOOK")
        self._failures = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send in the background for the block."""
        stop = Event()
        thread = Thread(target=self.run, args=[stop], name="dispatcher", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_TIMEOUT_SECONDS)

    def run(self, stop: Event) -> None:
        """Send until `stop` is set; only one process sends at a time."""
        try:
            while not stop.is_set():
                try:
                    with lock_folder(self._reports.folder / LOCK) as acquired:
                        while acquired and not stop.is_set():
                            self._send_all(stop)
                except (OSError, sqlite3.Error, StoreBusy) as error:
                    self._notify(f"the reports of look-back cannot be read: {error}; trying again")
                stop.wait(_WAIT_SECONDS)
        finally:
            self._poster.close()

    def _send_all(self, stop: Event) -> None:
        """Send what is not acknowledged, or wait for something to send; after a failure, pause.

        The reports are read again after a pause: meanwhile a report may be forgotten, or acknowledged in another way.
        """
        for report in self._reports.after(wait=_WAIT_SECONDS):
            if stop.is_set():
                return
            if not self._send(report):
                # The topic matters only for tests of a webhook.
                pause = pause_after(min(self._failures, _LONGEST_PAUSES), "") or timedelta()
                stop.wait(pause.total_seconds())
                return

    def _send(self, report: LookBackReport) -> bool:
        """Send a report; return whether it arrived. Then it is acknowledged."""
        data = json.loads(ReportOut.from_domain(report).json_text())
        id = f"msg_{self._reports.name}_{report.number}"
        message = Message(id, f"remembered.{report.kind}", report.found_at, data)
        body, seconds = encode_message(message), int(self._reports.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hashdb-look-back",
            "webhook-id": message.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(self._secret, message.id, seconds, body),
        }
        failure = self._poster.post(body, headers)
        if failure is None:
            self._reports.acknowledge(report.number)
            if self._failures:
                self._notify("the webhook of look-back answers again")
            self._failures = 0
            return True
        if not self._failures:
            self._notify(f"the webhook of look-back does not accept reports: {failure}; trying again")
        self._failures += 1
        return False
