"""hashdb benign: manage the signals near which nothing is accepted or matched."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import click

from hashdb.cli.help import PROFILES, Choice, Group
from hashdb.cli.home import list_all, open_home
from hashdb.cli.matching.pictures import hash_all
from hashdb.cli.options import PATH, TEXT, Id, Radius
from hashdb.cli.output import as_json, escape_controls, print_list, print_proposal, print_result
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.matching.benign import SIGNALS_AN_ENTRY, BenignDraft
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.signals import PERCEPTUAL, Algorithm, Profile, Signal
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode
from hashdb.hashing.texts import QUERY_STEP, WINDOW
from hashdb.service.matching import benign
from hashdb.settings import Settings
from hashdb.wire import validate
from hashdb.wire.matching import BenignIn, BenignOut, BenignsOut


@click.group("benign", cls=Group, examples=("hashdb benign add test-card.png", "hashdb benign list"))
def benign_command() -> None:
    """Manage the benign list.

    The service refuses contributions that are close to an entry of this list, and answers no matches with them.
    Run this command on the service's machine.
    """


@benign_command.command(
    "add",
    examples=(
        "hashdb benign add test-card.png --note 'Test card of a channel'",
        "hashdb benign add logo.png --radius pdq=20",
        "hashdb benign add licence.txt --note 'A licence that many texts end with'",
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--radius",
    "radii",
    type=Radius(PERCEPTUAL),
    multiple=True,
    help="Radius of the entry in bits, like `pdq=20`; may be repeated. By default half the algorithm's radius, "
    "and all of it for texts.",
)
@click.option("--note", type=TEXT, default="", help="What the file is. By default its name.")
@click.option(
    "--profile",
    default=str(Profile.BALANCED),
    show_default=True,
    type=Choice(PROFILES),
    help="Variants to add. Use the profile of the contributions that the entry must cover.",
)
@as_json
def add(file: Path, radii: tuple[tuple[Algorithm, int], ...], note: str, profile: str, as_json: bool) -> None:
    """Add a picture or a text to the benign list, like a test card, or a licence that many texts end with.

    From now on the service accepts and matches nothing that is close to FILE: a picture, a document or a text. Of a
    listed document, only the pages and the passages that are close to it no longer match. If the service needs two
    persons, the command proposes it and prints the proposal: nothing changes until another person adds the same entry
    within 72 hours, for example with the console.
    """
    settings = Settings.read()
    signals = _signals(file, settings, Mode(profile))
    draft = validate(BenignIn, BenignDraft(signals, dict(radii), note or file.name))
    with open_home(settings) as db:
        added = benign.add(db, COMMAND_LINE, draft)
    if isinstance(added, Proposal):
        print_proposal(added, as_json)
    else:
        text = f"benign entry {added.id} added: it hides {added.masked} signals of contributions"
        print_result(BenignOut.from_domain(added), text, as_json)


def _signals(file: Path, settings: Settings, mode: Mode) -> tuple[Signal, ...]:
    """The hashes of a picture, or of the pages and words of a document. Raises UnreadablePicture."""
    (outcome,) = hash_all({file: None}, settings.algorithms, settings, mode, step=QUERY_STEP)
    if outcome.hashed is None:
        raise UnreadablePicture(f"{escape_controls(file)}: {outcome.error}")
    if outcome.frames:
        raise UnreadablePicture("the benign list has pictures and texts: add a picture of the video")
    if outcome.document is None:
        return outcome.hashed.signals
    signals = tuple(dict.fromkeys(chain.from_iterable(frame.signals for frame in outcome.document.frames)))
    if len(signals) > SIGNALS_AN_ENTRY:
        most = (SIGNALS_AN_ENTRY - 1) * QUERY_STEP + WINDOW
        raise UnreadablePicture(f"the document has {outcome.document.words} words: add it in parts of at most {most}")
    return signals


@benign_command.command("list", examples=("hashdb benign list",))
@as_json
def browse(as_json: bool) -> None:
    """List the entries of the benign list."""
    with open_home() as db:
        entries = list_all(db, benign.page)
    print_list(
        BenignsOut,
        entries,
        [">id", "what", "built in", ">signals", ">hides"],
        lambda entry: [
            entry.id,
            entry.built_in or entry.note,
            "yes" if entry.built_in else "",
            len(entry.signals),
            entry.masked,
        ],
        as_json,
    )


@benign_command.command("delete", examples=("hashdb benign delete 3",))
@click.argument("entry", type=Id("entry"))
@as_json
def delete(entry: int, as_json: bool) -> None:
    """Delete an entry. Contributions that only this entry hid match again."""
    with open_home() as db:
        benign.delete(db, COMMAND_LINE, entry)
    print_result({"deleted": entry}, f"benign entry {entry} deleted", as_json)
