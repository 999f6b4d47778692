"""Follows the feed of the service in one process of the sidecar, and looks back after each batch of changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from hashdb.client import Client
from hashdb.domain.ledger.policies import Policy
from hashdb.errors import CopyInUse, HashDBError, NoCopy, NotAuthenticated, where_raised
from hashdb.local import LocalIndex, Sync, syncing
from hashdb.local.dispatcher import delivering
from hashdb.local.lookback import LookBack
from hashdb.local.remembered import REMEMBERED_FOLDER
from hashdb.local.reports import Reports
from hashdb.local.syncing import ignore

log = logging.getLogger("hashdb.sidecar")
_WAIT = 20
"""Seconds that the service may wait for a change before it answers a request."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between requests to a service that fails: first, and at most. Each pause is twice as long as the last."""
RETRY = 5.0
"""Seconds until the follower starts over. Then it reads the key again, and tries again to be the process that syncs."""


class Follower:
    """Keeps the copy in a folder up to date, and says in the log when that changes."""

    def __init__(
        self,
        folder: Path,
        connect: Callable[[], Client],
        webhook: str | None = None,
        secret: Path | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Opens nothing yet. `folder` is that of the copy; `connect` makes a client with the current key.

        The reports of look-back are sent to the URL `webhook`, if there is one. The file `secret` has the secret that
        signs them. With a `policy`, the copy stores only what the quorum of the policy signed.
        """
        self._folder, self._connect, self._policy = folder, connect, policy
        self._webhook, self._secret = webhook, secret
        self._last_message = ""
        self.report_remembered: Callable[[int], None] = ignore
        """Called with the number of remembered uploads after each look-back."""

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set. Retries after every error."""
        while not stop.is_set():
            try:
                with (
                    self._connect() as client,
                    syncing(self._folder, client, notify=self._say, policy=self._policy) as sync,
                    delivering(self._folder / REMEMBERED_FOLDER, self._webhook, self._secret, log.warning),
                    LocalIndex(self._folder) as index,
                ):
                    self._follow(sync, index, stop)
            except CopyInUse:
                self._say("another process syncs the local copy: this sidecar only answers from it")
            except HashDBError as error:
                self._say(f"{error}; trying again")
            except Exception as error:
                # Such as a full disk. The text may hold content, so only the class and the place are logged.
                log.error("unexpected %s at %s; trying again", type(error).__name__, where_raised(error))
            stop.wait(RETRY)

    def _follow(self, sync: Sync, index: LocalIndex, stop: Event) -> None:
        """Sync and look back in turn, until `stop` is set or the key is refused."""
        look_back, has_more, pause = LookBack(index, Reports(self._folder / REMEMBERED_FOLDER)), True, _PAUSE
        retry_at = begun = time.monotonic()
        while not stop.is_set():
            try:
                if not has_more or time.monotonic() >= retry_at:
                    begun = time.monotonic()
                    # Without waiting while look-back has more to do.
                    sync.catch_up(wait=0 if has_more else _WAIT)
                    self._say("the local copy follows the service")
                    pause = _PAUSE
            except NotAuthenticated as error:
                self._say(f"{error}; the local copy stays as it is; trying again")
                self._look_back(index, look_back)
                # The key may have been replaced since: it is read again.
                return
            except HashDBError as error:
                self._say(f"{error}; the local copy stays as it is; trying again")
                # If look-back has more to do, it continues during this pause. The pause is then at least as long as the
                # failed request took, so that look-back has at least half of the time.
                retry_at = time.monotonic() + max(pause, time.monotonic() - begun)
                if not has_more:
                    stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            # Also while the service is unreachable, because reports of contributions that expire are taken back.
            has_more = self._look_back(index, look_back)

    def _look_back(self, index: LocalIndex, look_back: LookBack) -> bool:
        """Look back for some seconds, if there is a copy; return whether there is more to do."""
        try:
            has_more, count = look_back.step()
        except NoCopy:
            return False
        self.report_remembered(len(index.remembered))
        if count:
            log.info("look-back made %s", "1 new report" if count == 1 else f"{count} new reports")
        return has_more

    def _say(self, message: str) -> None:
        """Log a message, unless it was the last one: a service may be unreachable for hours."""
        if message != self._last_message:
            self._last_message = message
            log.info(message)
