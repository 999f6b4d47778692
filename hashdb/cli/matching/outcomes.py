"""Outcomes of files and addresses: their hashes or an error, and how commands send, remember and print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from hashdb.cli.matching.state import StateFile
from hashdb.cli.output import describe, escape_controls, print_json_array, progress_bar
from hashdb.domain.contributions import Media
from hashdb.domain.frames import Frame
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import quality_fault
from hashdb.domain.signals import Algorithm
from hashdb.errors import HashDBError
from hashdb.hashing import Hashed
from hashdb.hashing.documents import HashedDocument
from hashdb.hashing.videos import HashedFrame, to_frames

_PICTURES_A_REQUEST = 100
_FRAMES_A_REQUEST = 60
"""A request is sent as soon as it has this many frames, even if it has only one file: a film takes as long to hash as
hundreds of pictures."""
_Answer = TypeVar("_Answer")


class Outcome(NamedTuple):
    """The result for a path, or for a line of a list of addresses: the hashes or an error."""

    path: Path
    hashed: Hashed | None = None
    error: str | None = None
    frames: tuple[HashedFrame, ...] = ()
    """The frames of a video; then `hashed` has the digests of the file."""
    duration: float | None = None
    """The duration of a video, in seconds."""
    incomplete: str | None = None
    """A sentence that says how much of a video could be read, if that is not all."""
    document: HashedDocument | None = None
    """A document or a text; then `hashed` has the digests of the file."""
    line: int | None = None
    """The number of the line; then `path` names it."""

    @property
    def source(self) -> dict[str, object]:
        """The path or the line, as a field of the output for programs."""
        return {"path": str(self.path)} if self.line is None else {"line": self.line}

    def domain_frames(self) -> tuple[Frame, ...]:
        """The frames as the service takes them; a frame without a usable hash is left out."""
        return to_frames(self.frames) if self.document is None else self.document.frames

    @property
    def media(self) -> Media:
        """The kind of content that the file is."""
        if self.document is not None:
            return Media.TEXT if self.document.pages is None else Media.DOCUMENT
        return Media.VIDEO if self.frames else Media.IMAGE

    @property
    def frame_count(self) -> int:
        """How many frames a video, a document or a text has."""
        return len(self.frames if self.document is None else self.document.frames)

    @property
    def has_parts(self) -> bool:
        """Whether the file is a video, a document or a text, and not a picture."""
        return bool(self.frames) or self.document is not None

    def failed(self, error: str) -> Outcome:
        """The same path with this error, or with its earlier error if it has one."""
        return Outcome(self.path, error=self.error or error, line=self.line)


def send_in_batches(
    paths: Sequence[Path], outcomes: Iterator[Outcome], send: Callable[[list[Outcome]], Sequence[_Answer | None]]
) -> Iterator[tuple[Outcome, _Answer | None]]:
    """Each outcome, in order, with the service's answer (None if there is none); `send` gets up to 100 at a time.

    `send` may replace outcomes in its list by failed ones. If it raises HashDBError, these and all later paths fail
    with that error, and nothing more is sent.
    """
    taken = 0
    for batch in _batches(outcomes):
        taken += len(batch)
        try:
            answers = send(batch)
        except HashDBError as error:
            yield from fail_all((*batch, *map(Outcome, paths[taken:])), error)
            return
        yield from zip(batch, answers, strict=True)


def fail_all(outcomes: Iterable[Outcome], error: HashDBError) -> Iterator[tuple[Outcome, None]]:
    """Each outcome without an answer: failed with this error, or with its earlier one."""
    return ((outcome.failed(describe(error)), None) for outcome in outcomes)


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if len(batch) == _PICTURES_A_REQUEST or sum(outcome.frame_count for outcome in batch) >= _FRAMES_A_REQUEST:
            yield batch
            batch = []
    if batch:
        yield batch


def query_of(outcome: Outcome, hashed: Hashed, radius: Mapping[Algorithm, int] | None = None) -> Query:
    """The query that matches a file or an address that was hashed."""
    return Query(
        hashed.signals,
        radius=radius or {},
        transforms=hashed.transforms,
        signatures=hashed.signatures,
        frames=outcome.domain_frames(),
        duration=outcome.duration,
    )


def remember_uploads(
    remember: Callable[[Sequence[Upload]], None], batch: list[Outcome], at: datetime, own_id: str | None = None
) -> list[Upload | None]:
    """Remember what was hashed: files under their paths or `own_id`, addresses under their digests.

    Returns the upload of each outcome, or None. What cannot be remembered is replaced in `batch` by a failed outcome.
    """
    uploads: list[Upload | None] = [None] * len(batch)
    for place, outcome in enumerate(batch):
        if (hashed := outcome.hashed) is None:
            continue
        usual_id = str(outcome.path if outcome.line is None else hashed.signals[0])
        upload = Upload(usual_id if own_id is None else own_id, at, query_of(outcome, hashed))
        if fault := next(upload.faults(datetime.now(UTC)), None):
            batch[place] = outcome.failed(f"cannot be remembered: {fault}")
        else:
            uploads[place] = upload
    if kept := [upload for upload in uploads if upload is not None]:
        remember(kept)
    return uploads


def check_quality(outcome: Outcome) -> Outcome:
    """The outcome, or an error if the service would refuse the picture: too little detail, or a flat hash."""
    if outcome.hashed is None or outcome.has_parts:
        return outcome
    faults = [quality_fault(outcome.hashed.quality), *(signal.fault() for signal in outcome.hashed.signals)]
    error = next((fault for fault in faults if fault), None)
    return outcome if error is None else outcome.failed(error)


def check_texts_accepted(outcome: Outcome, version_without_texts: str | None) -> Outcome:
    """The outcome, or an error if it is of a document or a text, and the service is too old to accept these.

    `version_without_texts` is the version of such a service; None if the service accepts them.
    """
    if outcome.document is None or version_without_texts is None:
        return outcome
    return outcome.failed(
        f"the service has version {escape_controls(version_without_texts)}, which does not accept documents and texts"
    )


def print_answers(
    answers: Iterable[tuple[Outcome, _Answer | None]],
    to_text: Callable[[_Answer], str],
    to_json: Callable[[_Answer], Mapping[str, object]],
    *,
    what: str,
    as_json: bool,
    total: int | None = None,
    state_file: StateFile | None = None,
    to_id: Callable[[_Answer], int | None] = lambda answer: None,
) -> list[Outcome]:
    """Print the answer for each file or address: on a line, or in a JSON array. Returns the outcomes without an answer.

    `what` and `total` are for a progress bar (None: the total is not known). What the `state_file` skipped is reported
    first. Each answer is recorded there once it is printed, with the id that `to_id` returns.
    """
    # Without --json, `add` is None, and the answers are printed as lines.
    failed = []
    state_file = state_file or StateFile(None)
    with progress_bar(what, total) as advance, print_json_array(as_json) as add:
        state_file.report_skipped(add)
        for outcome, answer in answers:
            advance()
            if add is not None:
                add(_error_to_json(outcome) if answer is None else {**outcome.source, **to_json(answer)})
            elif answer is not None:
                click.echo(f"{escape_controls(outcome.path)}  {to_text(answer)}")
            if answer is None:
                failed.append(outcome)
            else:
                state_file.record(outcome.path, to_id(answer))
    return failed


def print_unreadable(files: Mapping[Path, str | None], as_json: bool) -> list[Outcome]:
    """The outcomes of these files if none can be read, else an empty list. With `--json` they are printed here.

    `files` has each path with its error, or None. So a command reports paths that do not exist before it needs a key.
    """
    outcomes = [Outcome(path, error=error) for path, error in files.items() if error is not None]
    if not outcomes or len(outcomes) < len(files):
        return []
    with print_json_array(as_json) as add:
        if add is not None:
            for outcome in outcomes:
                add(_error_to_json(outcome))
    return outcomes


def _error_to_json(outcome: Outcome) -> dict[str, object]:
    return {**outcome.source, "error": outcome.error}


def print_failures(outcomes: Sequence[Outcome]) -> int:
    """Print each failed path on standard error. The exit status: 1 if any failed, else 0."""
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failures:
        click.echo(escape_controls(f"hashdb: {outcome.path}: {outcome.error}"), err=True)
    return 1 if failures else 0
