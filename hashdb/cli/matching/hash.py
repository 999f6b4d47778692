"""hashdb hash: print the hashes of files and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import click

from hashdb.cli.contributions.files import open_list
from hashdb.cli.help import ALGORITHMS, Choice, Command
from hashdb.cli.matching.addresses import check_sources, read_addresses, urls_option
from hashdb.cli.matching.formats import format_time
from hashdb.cli.matching.outcomes import Outcome, print_answers, print_failures
from hashdb.cli.matching.pictures import fast_option, find_files, hash_all, hash_queries, jobs_option
from hashdb.cli.matching.state import StateFile, state_option
from hashdb.cli.options import PATH
from hashdb.cli.output import as_json, counted
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature
from hashdb.hashing import Hashed
from hashdb.hashing.documents import HashedDocument
from hashdb.member_settings import MemberSettings

_FORMS = {"signals": "a line for each file, with its hashes", "vpdq": "the lines of a video as vPDQ writes them"}


@click.command(
    "hash",
    cls=Command,
    examples=(
        "hashdb hash photo.jpg",
        "hashdb hash --algorithm pdq --json photos/",
        "hashdb hash --transforms --json upload.jpg",
        "hashdb hash --format vpdq clip.mp4 > clip.txt",
        "hashdb hash --json manifesto.pdf",
        "hashdb hash --urls links.txt",
    ),
)
@click.argument("paths", nargs=-1, type=PATH)
@urls_option
@click.option(
    "--algorithm",
    "names",
    multiple=True,
    type=Choice(ALGORITHMS),
    help="Compute only this algorithm; may be repeated. By default, those of HASHDB_ALGORITHMS.",
)
@click.option("--format", "form", type=Choice(_FORMS), default="signals", show_default=True, help="Format.")
@click.option(
    "--transforms",
    is_flag=True,
    help="With --json: also print the hashes of altered forms of each picture, and signatures, for a query; of an"
    " address, also the hash without its parameters.",
)
@state_option
@jobs_option
@fast_option
@as_json
def hash_command(
    paths: tuple[Path, ...],
    urls: Path | None,
    names: tuple[str, ...],
    form: str,
    transforms: bool,
    state: Path | None,
    jobs: int | None,
    fast: bool,
    as_json: bool,
) -> int:
    """Print the hashes of files and addresses.

    PATHS are pictures, videos, documents and texts, or folders of them; `-` is a document or a text on standard input.
    The command prints one line for each file, and needs no service.
    """
    of_files = {"--algorithm": names, "--format": form == "vpdq", "--state": state, "--jobs": jobs, "--fast": fast}
    check_sources(paths, urls, only_for_files=of_files)
    if form == "vpdq":
        if as_json or names or fast or transforms or state is not None or len(files := find_files(paths)) != 1:
            raise click.UsageError("--format vpdq needs one video, and allows no other option than --jobs")
        return _print_vpdq(files, MemberSettings.read(), jobs)
    if transforms and not as_json:
        raise click.UsageError("--transforms needs --json")
    if urls is not None:
        with open_list(urls) as lines:
            outcomes = read_addresses(lines, for_query=transforms)
            failed = print_answers(_hashed(outcomes), _to_text, _to_json, what="hashing", as_json=as_json)
        return print_failures(failed)
    settings = MemberSettings.read()
    algorithms = tuple(map(Algorithm, names)) or settings.algorithms
    state_file = StateFile(state, task="hash transforms" if transforms else "hash")
    files = state_file.skip_done(find_files(paths))
    if transforms:
        hashing = hash_queries(files, algorithms, settings, jobs, seeds=(), transforms=True, fast=fast)
    else:
        hashing = hash_all(files, algorithms, settings, jobs=jobs, fast=fast)
    with state_file, closing(hashing) as hashed:
        failed = print_answers(
            _hashed(hashed),
            _to_text,
            _to_json,
            what="hashing",
            as_json=as_json,
            total=len(files),
            state_file=state_file,
        )
    return print_failures(failed)


def _hashed(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, tuple[Outcome, Hashed] | None]]:
    """Each outcome with the answer that is printed for it: the outcome and its hashes, or None if it is an error."""
    for outcome in outcomes:
        yield outcome, None if outcome.hashed is None else (outcome, outcome.hashed)


def _print_vpdq(files: Mapping[Path, str | None], settings: MemberSettings, jobs: int | None) -> int:
    """Print frames of one video, of every quality, as vPDQ does: those a second apart, not those at cuts.

    `files` has the path of the video, with its error or None. Returns the exit status.
    """
    from hashdb.wire.sharing.vpdq import vpdq_line

    (outcome,) = hash_all(files, (Algorithm.PDQ,), settings, jobs=jobs)
    if outcome.hashed is not None and not outcome.frames:
        outcome = outcome.failed("is not a video")
    for number, at, on_grid, hashed in outcome.frames:
        if on_grid and hashed.signals:
            click.echo(vpdq_line(number, at, hashed.quality or 0, hashed.signals[0]))
    return print_failures([outcome])


def _to_text(answer: tuple[Outcome, Hashed]) -> str:
    outcome, hashed = answer
    columns = list(map(str, hashed.signals))
    if outcome.document is not None:
        columns.insert(0, _format_document(outcome.document))
    elif outcome.frames:
        columns.insert(0, f"{len(outcome.frames)} frames, {format_time(outcome.duration or 0)}")
    if hashed.quality is not None:
        columns.append(f"quality {hashed.quality}")
    return "  ".join(columns)


def _format_document(document: HashedDocument) -> str:
    """How much a document or a text has, like `3 pages, 1200 words, 14 hashed parts`."""
    counts = [] if document.pages is None else [counted(document.pages, "page")]
    return ", ".join([*counts, counted(document.words, "word"), counted(len(document.frames), "hashed part")])


def _frame_to_json(frame: Frame) -> dict[str, object]:
    """A frame, a page or a window of words, as the API takes it: in a query if it has transforms, else in a draft."""
    signals, first = list(map(str, frame.signals)), int(frame.at)
    if frame.unit is Unit.WORDS:
        return {"words": [first, first + frame.length], "signals": signals}
    place: dict[str, object] = {"page": first} if frame.unit is Unit.PAGES else {"at": frame.at}
    transforms = {"transforms": _views_to_json(frame.transforms)} if frame.transforms else {}
    return {**place, "quality": frame.quality, "signals": signals, **transforms}


def _views_to_json(by_view: Mapping[str, Sequence[Signal | Signature]]) -> dict[str, list[str]]:
    return {view: list(map(str, values)) for view, values in by_view.items()}


def _to_json(answer: tuple[Outcome, Hashed]) -> dict[str, object]:
    outcome, hashed = answer
    item: dict[str, object] = {"signals": list(map(str, hashed.signals)), "quality": hashed.quality}
    if outcome.document is not None:
        item |= {"pages": outcome.document.pages, "words": outcome.document.words}
    elif outcome.frames:
        item["duration"] = outcome.duration
    if outcome.has_parts:
        item["frames"] = list(map(_frame_to_json, outcome.domain_frames()))
    if outcome.incomplete is not None:
        item["incomplete"] = outcome.incomplete
    for name in ("transforms", "signatures"):
        if by_view := getattr(hashed, name):
            item[name] = _views_to_json(by_view)
    return item
