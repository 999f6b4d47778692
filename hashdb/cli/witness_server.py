"""The witness as gunicorn runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from wsgiref.types import WSGIApplication

from hashdb.cli.listening import ListenAddress, freeze_objects
from hashdb.cli.servers import BaseWorker, SmallServer
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.notes import Verifier
from hashdb.http_server.log_lines import write_json_lines
from hashdb.witness.application import LARGEST_BODY, WitnessServer
from hashdb.witness.state import WitnessState
from hashdb.witness.witnessing import Witness


class Server(SmallServer):
    """The WSGI application of a witness; `run` serves it until a signal ends it."""

    def __init__(
        self,
        logs: Sequence[Verifier],
        cosigners: Sequence[Cosigner],
        database: Path,
        workers: int,
        address: ListenAddress,
    ) -> None:
        """Creates the tables, so that the workers find them. Raises StoreBusy."""
        WitnessState(database).close()
        write_json_lines()
        self._logs, self._cosigners, self._database = logs, cosigners, database
        super().__init__("hashdb-witness", BaseWorker, workers, address, LARGEST_BODY)

    def load(self) -> WSGIApplication:
        server = WitnessServer(Witness(self._logs, self._cosigners, WitnessState(self._database)))
        freeze_objects()
        return server
