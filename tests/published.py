"""A home whose service publishes all that can be verified: commitments, a root, cosignatures, policies, receipts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hashdb.cli.home import configured_signing
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Addition
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy, Witness
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signatures import Kind
from hashdb.service import HashDB, open_hashdb
from hashdb.service.contributions import additions, contributions
from hashdb.service.ledger import active_set, checkpoints, witnesses
from hashdb.service.ledger.witnesses import Reply, Send
from hashdb.service.matching import benign
from hashdb.service.review import opinions
from hashdb.settings import Settings
from tests import schemas
from tests.builders import contributed, document, draft, member_with, signal, signature, text, video, words
from tests.service.scenes import CONFIRMS

ORIGIN = "hashes.example/log"


def publish(home: Path, folder: Path, url: str | None = None) -> dict[str, str]:
    """Fill a new home, and write `policy.txt` and `organisations.txt` into a folder; return the service's settings.

    The service uses the database at `url`, if it is given.
    """
    home.mkdir(parents=True)
    settings = Settings(home=home, origin=ORIGIN, **({} if url is None else {"database_url": url}))  # type: ignore[arg-type]
    schemas.make(settings.database)
    db = open_hashdb(settings.database, settings.rules(), signing=configured_signing(settings))
    try:
        checkpoints.start(db)
        _fill(db)
        policies = sign(db)
    finally:
        db.close()
    files = folder / "policy.txt", folder / "organisations.txt"
    for file, policy in zip(files, policies, strict=True):
        file.write_text(policy)
    published = {"HASHDB_ORIGIN": ORIGIN, "HASHDB_WITNESSES": str(files[0]), "HASHDB_QUORUM": str(files[1])}
    return published if url is None else published | {"HASHDB_DATABASE_URL": url}


def sign(db: HashDB) -> tuple[str, str]:
    """Let an organisation sign the root, and a witness a checkpoint; return the policies that require both."""
    witness, organisation = Cosigner.new("witness.example"), Cosigner.new("alpha.example")
    log = "".join(f"log {key}\n" for key in checkpoints.log(db).verifiers)
    policy = f"{log}witness one {witness.key}\nquorum one\n"
    organisations = f"{log}witness alpha {organisation.key}\nquorum alpha\n"
    witness_with_url = Witness("one", witness.key, "https://witness.example/")
    witnessed = replace(Policy.parse(policy), witnesses=(witness_with_url,))
    db.rules = replace(db.rules, witnesses=witnessed, organisations=Policy.parse(organisations))
    time = int(db.now().timestamp())
    active_set.keep(db, at_once=True)
    body, _ = split_note(active_set.get(db, COMMAND_LINE).note)
    active_set.sign(db, COMMAND_LINE, organisation.cosign(body, time))
    checkpoints.keep(db, at_once=True)
    witnesses.ask(db, lambda _: _signing(witness, time))
    return policy, organisations


def _fill(db: HashDB) -> None:
    """Contributions of each kind: with signatures, frames, a suppressed signal, all signals suppressed, withdrawn."""
    alpha, beta = member_with(db), member_with(db)
    contributed(
        db,
        alpha,
        draft(1, signatures=(signature(1), signature(2, Kind.COLOUR))),
        draft(2, 90),
        draft(91),
        draft(3),
        draft(4),
        video(31, 32, 33, 33, 90, 34, signals=(signal(5),)),
        document((41, 42), words(1, 400)),
        text(words(2, 300)),
    )
    benign.add(db, COMMAND_LINE, BenignDraft((signal(90), signal(91))))
    benign.settle(db)
    additions.add_one(db, alpha, Addition(1, (signal(1), signal(11))))
    opinions.give(db, beta, 1, CONFIRMS)
    contributions.withdraw(db, alpha, 4, "removal_reversed")
    contributions.erase(db, alpha, 5)


@contextmanager
def _signing(witness: Cosigner, time: int) -> Iterator[Send]:
    def send(submission: Submission) -> Reply:
        body, _ = split_note(submission.note)
        return Reply(200, witness.cosign(body, time))

    yield send
