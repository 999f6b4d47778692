"""A server with two workers, which answer with their process ids: `python -m tests.cli.two_workers PORT PATIENCE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from hashdb.cli.listening import ListenAddress
from hashdb.cli.servers import SmallServer
from hashdb.cli.worker import ThreadedWorker


class Server(SmallServer):
    """A server whose application answers with the process id of its worker."""

    def load(self) -> WSGIApplication:
        """The application of one worker."""

        def answer(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            body = str(os.getpid()).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]

        return answer


if __name__ == "__main__":
    ThreadedWorker.patience = float(sys.argv[2])
    Server("test", ThreadedWorker, 2, ListenAddress(f"127.0.0.1:{sys.argv[1]}", None, ""), 1_000).run()
