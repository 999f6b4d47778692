"""hashdb demo: run the real service, contribute photographs, a film and a text, and match altered copies of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, NoReturn

import click
import httpx
from PIL import Image

import hashdb
from hashdb.cli import demo_console
from hashdb.cli.demo_films import FilmTrial, try_film
from hashdb.cli.demo_texts import TextTrial, try_texts
from hashdb.cli.help import Command
from hashdb.cli.output import as_json, print_json, print_table
from hashdb.client import Client
from hashdb.domain.matching.matches import Query, Result
from hashdb.domain.signals import Algorithm
from hashdb.domain.times import format_instant
from hashdb.errors import DemoFailed
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import hash_picture
from hashdb.index.kernel import implementation_name
from hashdb.service import system_clock
from hashdb.service.accounts.passwords import generate_password
from hashdb.settings import Settings

PHOTOS = Path(hashdb.__file__).parent / "photos"
_ALGORITHMS: tuple[Algorithm, ...] = Settings.model_fields["algorithms"].default
"""Those of the service of the demonstration, which has the default settings, whatever the environment has."""
_CONTRIBUTED = 12
"""How many of the photographs are contributed."""
_START_SECONDS = 30.0
"""How long the service may take to start."""
_END_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
"""The signals that end the demonstration: Ctrl-C, a service manager, and a terminal that is closed."""


@click.command("demo", cls=Command, examples=("hashdb demo", "hashdb demo --once", "hashdb demo --console"))
@click.option("--once", is_flag=True, help="End after the table. Exits 1 if a result is not the expected one.")
@click.option(
    "--console",
    is_flag=True,
    help="Show the console instead, with 90 days of contributions, cases and proposals. Ctrl-C ends it.",
)
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the service. If it is in use, the command takes a free one.",
)
@as_json
def demo_command(once: bool, console: bool, port: int, as_json: bool) -> int:
    """Try hashdb with a real service, real photographs and films made of them.

    The command starts a service in a temporary folder, contributes photographs, and matches altered copies of them.
    Then it contributes a film, and finds a part of it within another film; and a text, a document and an address.
    It needs no settings, and deletes everything when it ends.
    """
    photos = sorted(PHOTOS.glob("*.jpg"))
    if console:
        if once or as_json:
            raise click.UsageError("--console cannot be used with --once or --json")
        show_console(photos, port)
        return 0
    with _temporary_home() as home, _serving(home, _free_port(port)) as url:
        echo = partial(click.echo, err=as_json)
        echo(f"service       {url}  (SQLite in {home})")
        echo(f"index         {Settings.model_fields['index'].default} (by {implementation_name()})")
        alpha = _add_member(home, "Alpha Video", "contribute", "match", "feed")
        beta = _add_member(home, "Beta Photos", "match")
        echo("members       Alpha Video contributes, Beta Photos matches")
        half = _CONTRIBUTED // 2
        ids = _contribute_by_command(home, url, alpha, photos[:half])
        echo(f"contributed   {half} photographs by `hashdb contribute` (hashed here)")
        ids += _contribute_by_api(url, alpha, photos[half:_CONTRIBUTED])
        echo(f"contributed   {half} photographs by POST /v1/contributions/media (hashed by the service)")
        echo()
        with Client(url, beta) as client:
            trials = list(try_all(client, photos, ids))
        if not as_json:
            print_trials(trials)
            echo()
        contribute = partial(_contribute_by_command, home, url, alpha)
        match = partial(_run_json, home, "match", HASHDB_URL=url, HASHDB_KEY=beta)
        films = try_film(home, photos[_CONTRIBUTED:], contribute, match, echo)
        texts = try_texts(home, contribute, match, echo)
        if as_json:
            print_json(trials_as_json(trials, films, texts))
        else:
            _print_found("file", films)
            echo()
            _print_found("text or address", texts)
        if not once:
            _invite(url, beta, echo)
    return 0 if _all_held(trials, films, texts) else 1


def _invite(url: str, key: str, echo: Callable[..., object]) -> None:
    """Say how to match a file, and wait for Ctrl-C."""
    echo()
    echo("The service runs until you press Ctrl-C. As Beta Photos, match a file of your own:")
    echo(f"  export HASHDB_URL={url} HASHDB_KEY={key}")
    echo("  hashdb match PATH        (.venv/bin/hashdb, if it is not on your PATH)")
    echo(f"  {url}/docs")
    _wait_for_interrupt()


def show_console(photos: Sequence[Path], port: int) -> None:
    """Fill a service in a temporary folder, and serve its console until Ctrl-C."""
    with _temporary_home() as home:
        click.echo(f"Filling a service in {home} …")
        password = generate_password()
        # The environment may name a real database, so no setting is read from it.
        count = demo_console.fill(Settings.model_construct(home=home), photos, password)
        with _serving(home, _free_port(port), HASHDB_TWO_PERSONS="true") as url:
            click.echo(f"{count} contributions of {demo_console.DAYS} days are there. Open the console:")
            click.echo(f"  {url}/console")
            for name, role in demo_console.USERS.items():
                click.echo(f"  {name:10s}{role}")
            click.echo(f"The password of each is {password}")
            click.echo("The service runs until you press Ctrl-C, which deletes the folder.")
            _wait_for_interrupt()


@contextmanager
def _temporary_home() -> Iterator[Path]:
    """A temporary folder, which is deleted at the end, also if a signal ends the command."""
    for number in _END_SIGNALS:
        # SIGINT raises KeyboardInterrupt already. nohup ignores SIGHUP, so that the command outlives the terminal.
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="hashdb-demo-"))
    try:
        yield folder
    finally:
        with _uninterrupted():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serving(home: Path, port: int, **settings: str) -> Iterator[str]:
    """Run the service in a process of its own, which is stopped at the end. Yields the URL of the service."""
    url, log = f"http://127.0.0.1:{port}", home / "serve.log"
    with log.open("wb") as out:
        arguments = [sys.executable, "-m", "hashdb", "serve", "--port", str(port)]
        process = subprocess.Popen(arguments, env=_clean_environment(home, **settings), stderr=out, stdout=out)
    try:
        _wait_until_ready(url, process, log)
        yield url
    finally:
        with _uninterrupted():
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore a second signal to end, which would leave the folder or the service."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # First its line in the log: another service may have taken the port meanwhile.
        if " serves on " in log.read_text("utf-8", "replace"):
            with suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz").is_success:
                    return
        time.sleep(0.05)
    raise DemoFailed(f"the service did not start: {log.read_text('utf-8', 'replace')[-1000:].strip()}")


def _free_port(preferred: int) -> int:
    """The preferred port if it is free, else another one. Raises DemoFailed."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise DemoFailed("no port is free on 127.0.0.1")


def _clean_environment(home: Path, **extra: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    return others | {"HASHDB_HOME": str(home)} | extra


def _run_json(home: Path, *arguments: str, **environment: str) -> Any:
    """The parsed output of a hashdb command with --json. Raises DemoFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "hashdb", *arguments, "--json"],
        env=_clean_environment(home, **environment),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise DemoFailed(f"`hashdb {arguments[0]}` exited with status {done.returncode}")
    return json.loads(done.stdout)


def _add_member(home: Path, name: str, *scopes: str) -> str:
    options = [word for scope in scopes for word in ("--scope", scope)]
    secret: str = _run_json(home, "member", "add", name, "--kind", "platform", *options)["key"]["secret"]
    return secret


def _contribute_by_command(home: Path, url: str, key: str, words: Sequence[Path | str]) -> list[int]:
    """Run `hashdb contribute` with paths or further options; return the ids of the contributions."""
    options = ["--label", "glorification", "--severity", "2", "--removed-at", "now"]
    contributions = _run_json(home, "contribute", *map(str, words), *options, HASHDB_URL=url, HASHDB_KEY=key)
    return [contribution["id"] for contribution in contributions]


def _contribute_by_api(url: str, key: str, photos: Sequence[Path]) -> list[int]:
    metadata = {"labels": ["incitement"], "severity": 3, "removed_at": format_instant(system_clock())}
    response = httpx.post(
        f"{url}/v1/contributions/media",
        headers={"Authorization": f"Bearer {key}"},
        files=[("file", (photo.name, photo.read_bytes(), "image/jpeg")) for photo in photos],
        data={"metadata": json.dumps(metadata)},
        timeout=60,
    )
    response.raise_for_status()
    return [contribution["id"] for contribution in response.json()["contributions"]]


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo(err=True)


_ALTERATIONS = ("JPEG 30", "half size", "brightness × 1.3", "watermark")


class Trial(NamedTuple):
    """One matched picture: the expected contribution (None: no match) and the result."""

    photo: str
    alteration: str
    expected: int | None
    result: Result
    milliseconds: float

    @property
    def held(self) -> bool:
        """Whether the nearest match is the expected contribution, or neither exists."""
        nearest = self.result.matches[0].contribution if self.result.matches else None
        return nearest == self.expected


def try_all(client: Client, photos: Sequence[Path], ids: Sequence[int]) -> Iterator[Trial]:
    """Match each alteration of the contributed photographs, and the other photographs unaltered."""
    for photo, id in zip(photos, ids, strict=False):
        with Image.open(photo) as picture:
            for name in _ALTERATIONS:
                yield _match_picture(client, photo.stem, name, ALTERATIONS[name].encode(picture), id)
    for photo in photos[len(ids) :]:
        yield _match_picture(client, photo.stem, "another photo", photo.read_bytes(), None)


def _match_picture(client: Client, photo: str, alteration: str, octets: bytes, expected: int | None) -> Trial:
    query = Query(hash_picture(octets, _ALGORITHMS).signals)
    start = time.perf_counter()
    answer = client.match([query])
    return Trial(photo, alteration, expected, answer.results[0], (time.perf_counter() - start) * 1000)


def print_trials(trials: Sequence[Trial]) -> None:
    """Print the trials as a table, and how many copies and other photographs were recognised."""
    # A leading `>` aligns a column to the right.
    columns = ["photograph", "uploaded as", *(f">{algorithm}" for algorithm in _ALGORITHMS), ">agree", "answer", ">ms"]
    print_table([*columns, ""], map(_row, trials))
    copies = [trial for trial in trials if trial.expected is not None]
    others = [trial for trial in trials if trial.expected is None]
    recognised = sum(trial.held for trial in copies)
    wrong = sum(bool(trial.result.matches) for trial in others)
    click.echo()
    click.echo(
        f"{recognised} of {len(copies)} altered copies were recognised;"
        f" {wrong} of {len(others)} other photographs were."
    )
    click.echo("A distance is the number of bits that differ; – means that it is beyond the radius.")
    click.echo(f"A match took {median(trial.milliseconds for trial in trials):.1f} ms (median, one query a request).")


def _print_found(heading: str, trials: Sequence[FilmTrial | TextTrial]) -> None:
    """Print what was found of a film, or of a text, a document and an address."""
    if trials:
        # The first field says what was matched: a file, or a line of a list of addresses.
        rows = [[trial[0], trial.shows, trial.description, _mark(trial)] for trial in trials]
        print_table([heading, "shows", "found", ""], rows)


def _mark(trial: Trial | FilmTrial | TextTrial) -> str:
    return "✓" if trial.held else "✗ not as expected"


def _all_held(*trials: Sequence[Trial | FilmTrial | TextTrial]) -> bool:
    return all(trial.held for trial in chain.from_iterable(trials))


def trials_as_json(
    trials: Sequence[Trial], films: Sequence[FilmTrial], texts: Sequence[TextTrial]
) -> dict[str, object]:
    """The trials as the document of `--json`."""
    return {
        "held": _all_held(trials, films, texts),
        "trials": [_trial_as_json(trial) for trial in trials],
        "films": [trial._asdict() | {"held": trial.held} for trial in films],
        "texts": [trial._asdict() | {"held": trial.held} for trial in texts],
    }


def _row(trial: Trial) -> list[str]:
    distances = trial.result.matches[0].distance if trial.result.matches else {}
    return [
        trial.photo,
        trial.alteration,
        *(str(distances.get(algorithm, "–")) for algorithm in _ALGORITHMS),
        f"{len(distances)} of {len(_ALGORITHMS)}",
        "review" if distances else "no match",
        f"{trial.milliseconds:.1f}",
        _mark(trial),
    ]


def _trial_as_json(trial: Trial) -> dict[str, object]:
    nearest = trial.result.matches[0] if trial.result.matches else None
    return {
        "photo": trial.photo,
        "alteration": trial.alteration,
        "expected": trial.expected,
        "contribution": None if nearest is None else nearest.contribution,
        "distance": {} if nearest is None else dict(nearest.distance),
        "action": trial.result.action,
        "ms": round(trial.milliseconds, 1),
        "held": trial.held,
    }
