"""Every error that hashdb raises intentionally.

    HashDBError
    ├── MalformedRequest          the body is not of its content type (not JSON, not multipart)
    ├── NotAuthenticated          no key, or an invalid one
    │   ├── KeyRefused            (client) the service does not accept the key; says which setting it is from
    │   └── SignInRefused         (console) a wrong name, password or code
    ├── NotAllowed
    │   ├── ScopeMissing          the key lacks a scope
    │   ├── MemberSuspended       the key's member is suspended
    │   ├── NotYours              the thing belongs to another member
    │   ├── OwnContribution       only other members may give opinions on it
    │   ├── NoLabel               the operator set no label for contributions by other systems' protocols
    │   ├── BankOfMember          (HMA's API) banks are members, which only the operator adds
    │   ├── CheckpointNotSigned   (witness) no valid signature by a key of the log is on the checkpoint
    │   ├── FetchRefused          this service fetches nothing from that address
    │   ├── MediaRefused          this service accepts hashes, not pictures
    │   ├── TextRefused           this service accepts the hashes of documents and texts, not their words
    │   ├── WebPageRefused        (sidecar) the request comes from a web page, or names another host
    │   ├── WebhooksOff           the operator turned webhooks off
    │   └── FormRefused           (console) the form belongs to another session
    ├── NotFound
    ├── MethodNotAllowed
    ├── Conflict
    │   ├── AlreadyWithdrawn
    │   ├── NotActive             an ended or suspended contribution cannot be changed, confirmed or disputed
    │   ├── RetiredKept           the signals keep doubted content from returning: only the operator may erase them
    │   ├── UnderReview           nothing is added to a contribution with an open case
    │   ├── AlreadyDecided        a decision on a case is final
    │   ├── CaseTaken             (console) another reviewer works on the case
    │   ├── AlreadyOpen           a contribution has at most one open case
    │   ├── BatchBegun            a batch is confirmed once, and is stopped only while it is carried out
    │   ├── AlreadyRevoked
    │   ├── NameTaken             a member or a user with that name, or one that looks like it, exists
    │   ├── IncidentExists        an incident with that label exists
    │   ├── WrongOldSize          (witness) the log does not know the last checkpoint that was cosigned
    │   ├── TooManyWebhooks       the member has as many webhooks as it may
    │   └── IdempotencyKeyReused  the same Idempotency-Key was sent with another body
    ├── FeedRestarted             the cursor belongs to another epoch, or is beyond the head of the log
    ├── TooLarge
    ├── UnsupportedContent
    │   ├── WrongContentType
    │   └── UnreadablePicture     not a picture, truncated, a bomb, without pixels, too slow to decode
    │       └── VideoTooLarge     too many bytes, plays too long, takes too long to hash
    ├── InvalidInput              well-formed, but invalid; holds every fault of the request
    ├── LimitReached              a limit of the key or the member; says when to retry
    │   └── TooManyAtOnce         the key already uses its share of a worker
    │       └── HashingBusy       the key already uses its share of the hashing queue
    ├── Unavailable
    │   ├── StoreBusy             the database refused the write, or does not answer
    │   ├── IndexNotReady         the index is being built from the database
    │   ├── NoRoom                there is no room for the temporary file of a video
    │   ├── CopyNotReady          (sidecar) the first sync of the local copy has not finished
    │   ├── CopyTooOld            (sidecar) the local copy was last up to date too long ago
    │   ├── CopyNotApproved       (sidecar, client) the organisations of the policy did not sign what the copy has
    │   ├── NotRemembered         (sidecar, client) the uploads cannot be written to the disk, which may be full
    │   └── JobLost               the process of a job ended, or the job took too long
    ├── InconsistentLog           (witness) the checkpoint does not continue the one that was cosigned
    ├── BadNote                   (client) the signed checkpoint is malformed, or not signed by the log's key
    ├── BadPolicy                 a policy of witnesses or organisations is malformed
    ├── BadReceipt                (client) a receipt is malformed, or does not prove its event
    ├── NotWitnessed              (client) too few witnesses cosigned the checkpoint
    ├── RootNotSigned             (client) too few organisations signed the root of the active set
    ├── NotAsLogged               (client) a contribution differs from the log of the service
    ├── NotCosigned               no stored checkpoint has the cosignatures of the quorum yet
    ├── WitnessesBehind           (client) the log grew, and the quorum of witnesses did not cosign it since
    ├── CheckTooEarly             (client) the checkpoint does not reach the newest root of the active set yet
    │   └── CopyBehind            (client) the local copy does not reach it, or is of an earlier version
    ├── LogRewritten              (client) the log is not the one of the checkpoint that was kept
    ├── NotSigned                 (client) the webhook's delivery is not signed by its secret, or is old
    ├── NoCopy                    (client) there is no local copy, or its first sync has not finished
    ├── CopyInUse                 (client) another process syncs the local copy
    ├── ServiceTooOld             (client) the service has a version that does not accept texts or addresses
    ├── ServiceError              (client) the answer is not one of hashdb's API
    ├── ServiceUnreachable        (client) no answer
    └── CannotStart               (command line) the command or the service cannot start
        ├── BadSetting
        ├── ExtraMissing          what is asked for needs an extra of hashdb that is not installed
        ├── UnsafeStart           the service, or one of its secrets, would be exposed to others
        ├── SchemaOutdated
        ├── WrongSigningKey       the key on this machine is not the one that signed the log
        ├── DatabaseAway          no connection to PostgreSQL can be made
        ├── PortInUse
        ├── HomeInUse
        ├── BackupFailed
        ├── MoveFailed            the database cannot be copied to another one
        ├── UnfinishedCopy        the database is an unfinished copy by `hashdb copy-to`
        └── DemoFailed

Each error is a dataclass that carries its data. Its `str()` is one sentence in lower case without a full stop.
This module does not know HTTP: `hashdb.http_server.problems` holds the table of status codes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from typing import ClassVar, Self, dataclass_transform

_FRAMES = 8
"""The most frames of the call stack that `where_raised` names."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an input: where (`contributions[3].signals[0]`) and why."""

    at: str
    reason: str

    def __str__(self) -> str:
        return f"{self.at}: {self.reason}" if self.at else self.reason


@dataclass_transform(eq_default=False)
@dataclass(eq=False)
class HashDBError(Exception):
    """The base class of all errors that hashdb raises intentionally.

    Each subclass becomes a dataclass. Its slug, and its title unless it sets one, are the words of the class name.
    `message` is the text of the error, with the names of fields in braces.
    """

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"
    message: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).lower()
        # Without a docstring, dataclass would make one of the signature: that takes longer than all else it does.
        cls.__doc__ = cls.__doc__ or f"{words}."
        dataclass(eq=False, repr=False)(cls)
        cls.slug = words.replace(" ", "-")
        cls.title = cls.__dict__.get("title", words.capitalize())

    def __str__(self) -> str:
        return self.message.format_map(vars(self))

    def __reduce__(self) -> tuple[type[HashDBError], tuple[object, ...]]:
        """Pickle by field, so that an error from a worker process keeps its data."""
        return type(self), tuple(getattr(self, field.name) for field in dataclasses.fields(self))


class MalformedRequest(HashDBError):
    reason: str
    message = "{reason}"


class NotAuthenticated(HashDBError):
    message = "the request needs a valid key: send it as `Authorization: Bearer hdb_…`"


class KeyRefused(NotAuthenticated):
    url: str
    source: str
    message = "{url} does not accept the key from {source}: it is unknown there, expired or revoked"


class SignInRefused(NotAuthenticated):
    reason: str
    title = "Not signed in"
    message = "{reason}"


class NotAllowed(HashDBError):
    """The caller may not do this."""


class ScopeMissing(NotAllowed):
    scope: str
    message = "this key lacks the scope {scope}"


class MemberSuspended(NotAllowed):
    message = "the member of this key is suspended"


class NotYours(NotAllowed):
    what: str
    id: int
    message = "{what} {id} belongs to another member"


class OwnContribution(NotAllowed):
    contribution: int
    title = "Your own contribution"
    message = "contribution {contribution} is your own: only other members may give opinions on it"


class NoLabel(NotAllowed):
    title = "No label for what comes this way"
    message = "this protocol sends no label, and the operator has set no HASHDB_INTEROP_LABEL: use the hashdb API"


class BankOfMember(NotAllowed):
    title = "A bank is a member's"
    message = "a bank is the contributions of one member: the operator adds members"


class CheckpointNotSigned(NotAllowed):
    origin: str
    reason: str
    message = "the checkpoint is not signed by a key of the log {origin}: {reason}"


class FetchRefused(NotAllowed):
    title = "Nothing is fetched from there"
    message = "this service does not fetch from that address: send the picture itself"


class MediaRefused(NotAllowed):
    title = "Pictures are not accepted"
    message = "this service accepts hashes only: hash pictures on your machine with `hashdb hash`"


class TextRefused(NotAllowed):
    faults: tuple[Fault, ...] = ()
    title = "Documents and texts refused"
    message = (
        "this service accepts the hashes of documents and texts, not their words: hash it on your machine, with"
        " `hashdb hash`, `hashdb match` or `hashdb contribute`"
    )


class WebPageRefused(NotAllowed):
    title = "Refused for a web page"
    message = "web pages may not use the sidecar: send no Origin header, and the address of the sidecar as Host"


class WebhooksOff(NotAllowed):
    title = "Webhooks are off"
    message = "webhooks are off on this service: read the feed with `?wait=` instead"


class FormRefused(NotAllowed):
    message = "this form belongs to another session; nothing was changed: open the page again and send the form again"


class NotFound(HashDBError):
    what: str
    message = "{what} does not exist"


class MethodNotAllowed(HashDBError):
    allowed: str
    message = "this address accepts {allowed}"


class Conflict(HashDBError):
    """The state of the resource does not allow this."""


class AlreadyWithdrawn(Conflict):
    contribution: int
    message = "contribution {contribution} is already withdrawn"


class NotActive(Conflict):
    contribution: int
    now: str
    message = "contribution {contribution} is {now}: it cannot be changed, confirmed or disputed"


class RetiredKept(Conflict):
    contribution: int
    title = "Kept while retired"
    message = (
        "contribution {contribution} is under review, quarantined or retired: the service keeps its signals until 90"
        " days after its withdrawal, to recognise copies of it; erase it without now=1, or ask the operator"
    )


class UnderReview(Conflict):
    contribution: int
    title = "Under review"
    message = "contribution {contribution} is under review: nothing can be added to it until its case is decided"


class AlreadyDecided(Conflict):
    case: int
    message = "case {case} is already decided"


class CaseTaken(Conflict):
    case: int
    message = (
        "case {case} is taken by another reviewer: nothing was decided; review the next case, or take this one over"
        " on its page"
    )


class AlreadyOpen(Conflict):
    contribution: int
    message = "a case on contribution {contribution} is already open"


class BatchBegun(Conflict):
    batch: int
    message = "batch {batch} has begun or ended already: open its page to see what it did"


class AlreadyRevoked(Conflict):
    key: int
    message = "key {key} is already revoked"


class NameTaken(Conflict):
    name: str
    what: str = "member"
    like: str = ""

    def __str__(self) -> str:
        if self.like:
            return f"{self.name} looks like the name of the {self.what} {self.like}: choose another name"
        return f"a {self.what} named {self.name} already exists"


class IncidentExists(Conflict):
    label: str
    message = "an incident labelled {label} already exists"


class WrongOldSize(Conflict):
    size: int
    message = "the last checkpoint that was cosigned has the size {size}"


class TooManyWebhooks(Conflict):
    most: int
    message = "a member may have {most} webhooks: delete one first"


class IdempotencyKeyReused(Conflict):
    message = "this Idempotency-Key was used for another request within 24 hours: send a new key"


class FeedRestarted(HashDBError):
    epoch: str
    title = "Start over"
    message = "this cursor belongs to another log: delete your copy and read again from 0"


class TooLarge(HashDBError):
    what: str
    limit: int
    message = "{what} are limited to {limit}"


class UnsupportedContent(HashDBError):
    """The content type or format of the body is not supported."""


class WrongContentType(UnsupportedContent):
    expected: str
    title = "Wrong Content-Type"
    message = "this address accepts {expected}"


class UnreadablePicture(UnsupportedContent):
    reason: str
    faults: tuple[Fault, ...] = ()
    message = "{reason}"


class VideoTooLarge(UnreadablePicture):
    message = "{reason}: hash it on your machine, with `hashdb hash`, `hashdb match` or `hashdb contribute`"


class InvalidInput(HashDBError):
    faults: tuple[Fault, ...]
    omitted: int = 0

    @classmethod
    def at_field(cls, at: str, reason: str) -> Self:
        """The error of one fault, at the field `at`."""
        return cls((Fault(at, reason),))

    def __str__(self) -> str:
        count = len(self.faults) + self.omitted
        if count == 1:
            return str(self.faults[0])
        return f"{count} faults, the first: {self.faults[0]}"


class LimitReached(HashDBError):
    limit: str
    retry_after: int
    message = "the limit of {limit} is reached"


class TooManyAtOnce(LimitReached):
    message = (
        "this key has too many requests in progress: the limit is {limit}; send this request again when another one is"
        " answered"
    )


class HashingBusy(TooManyAtOnce):
    message = "too many files of this key are waiting to be hashed: the limit is {limit}; nothing was stored"


class Unavailable(HashDBError):
    retry_after: int
    message = "the service cannot answer now: try again"


class StoreBusy(Unavailable):
    message = "the database is busy or unreachable: try again"


class IndexNotReady(Unavailable):
    message = "the index is being built from the database: try again later"


class NoRoom(Unavailable):
    message = (
        "the service has too little disk space for a video now: hash it on your machine with `hashdb hash`, or try"
        " again later"
    )


class CopyNotReady(Unavailable):
    message = "there is no complete local copy yet: try again when the first sync has finished"


class CopyTooOld(Unavailable):
    age: int
    max_age: int
    message = "the local copy was last up to date {age} s ago: the limit is {max_age} s"


class CopyNotApproved(Unavailable):
    reason: str
    message = "the local copy may not be used with this policy: {reason}"


class NotRemembered(Unavailable):
    reason: str
    message = "the uploads cannot be remembered: {reason}; remember them again once that is fixed"


class JobLost(Unavailable):
    message = "the process of this job ended, or the job took too long: send the request again"


class InconsistentLog(HashDBError):
    reason: str
    message = "{reason}"


class BadNote(HashDBError):
    reason: str
    message = "{reason}"


class BadPolicy(HashDBError):
    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line} of the policy: {self.reason}" if self.line else f"the policy {self.reason}"


class BadReceipt(HashDBError):
    reason: str
    message = "this is not a valid receipt: {reason}"


class NotWitnessed(HashDBError):
    signed: int
    known: int
    least: int
    message = "{signed} of the {known} witnesses of the policy cosigned it: the quorum needs at least {least}"


class RootNotSigned(HashDBError):
    seq: int
    signed: int
    known: int
    least: int
    message = (
        "{signed} of the {known} organisations of the policy signed the root of the active set of event {seq}:"
        " the quorum needs at least {least}"
    )


class NotAsLogged(HashDBError):
    contribution: int
    reason: str
    message = "contribution {contribution} differs from the log of the service: {reason}"


class NotCosigned(HashDBError):
    reason: str
    retry_after: int
    message = "{reason}"


class WitnessesBehind(HashDBError):
    size: int
    now: int
    since: str
    message = (
        "the witnesses cosigned {size} events, the log has {now} and has grown since {since}: ask the operator and the"
        " witnesses why"
    )


class CheckTooEarly(HashDBError):
    reason: str
    message = "{reason}; check again in a minute"


class CopyBehind(CheckTooEarly):
    message = "{reason}: run `hashdb sync`, and check again"


class LogRewritten(HashDBError):
    reason: str
    message = "this is not the log of the kept checkpoint, or it was rewritten: {reason}"


class NotSigned(HashDBError):
    reason: str
    message = "{reason}"


class NoCopy(HashDBError):
    folder: str
    title = "No local copy"
    message = "there is no local copy in {folder}: run `hashdb sync` first"


class CopyInUse(HashDBError):
    folder: str
    title = "Local copy in use"
    message = "another process syncs the local copy in {folder}: wait until it ends, or stop it"


class ServiceTooOld(HashDBError):
    version: str
    lacks: str
    message = "the service has version {version}, which {lacks}: its operator can upgrade it"


class ServiceError(HashDBError):
    status: int
    detail: str
    message = "the service answered {status}: {detail}"


class ServiceUnreachable(HashDBError):
    url: str
    reason: str
    message = "no answer from {url}: {reason}"


class CannotStart(HashDBError):
    """The command or the service cannot start."""


class BadSetting(CannotStart):
    setting: str
    reason: str
    message = "{setting}: {reason}"


class ExtraMissing(CannotStart):
    what: str
    extra: str
    message = "{what} needs the extra [{extra}], which is not installed: pip install '.[{extra}]' in a clone of hashdb"


class UnsafeStart(CannotStart):
    reason: str
    remedy: str
    message = "{reason}: {remedy}"


class SchemaOutdated(CannotStart):
    found: str
    needed: str
    oldest: str
    """The oldest schema that this version upgrades."""

    def __str__(self) -> str:
        remedy = "run `hashdb upgrade`"
        if self.found.isdecimal() and self.found > self.needed:
            remedy = "a newer hashdb made it: upgrade this one"
        elif self.found < self.oldest:
            remedy = "upgrade it with version 0.1.0 first"
        found = "no schema" if self.found == "none" else f"schema {self.found}"
        return f"the database has {found}, this version needs {self.needed}: {remedy}"


class WrongSigningKey(CannotStart):
    needed: str
    reason: str
    message = "the log is signed by {needed}, and {reason}: put the key there, or run `hashdb key rotate-signing`"


class DatabaseAway(CannotStart):
    where: str
    reason: str
    message = "the database at {where} {reason}"


class PortInUse(CannotStart):
    address: str
    setting: str = "--port"
    message = "{address} is already in use: stop the program that listens there, or choose another {setting}"


class HomeInUse(CannotStart):
    home: str
    message = "another hashdb runs from {home}: stop it, or set HASHDB_HOME"


class BackupFailed(CannotStart):
    reason: str
    message = "{reason}"


class MoveFailed(CannotStart):
    reason: str
    message = "{reason}"


class UnfinishedCopy(CannotStart):
    message = "the database is an unfinished copy: stop the original service, and run `hashdb copy-to` there again"


class DemoFailed(CannotStart):
    reason: str
    message = "{reason}"


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Raise ExtraMissing for `what`, if in this block a package is imported that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hashdb":
            raise
        raise ExtraMissing(what, extra) from error


MAX_FAULTS = 1_000
"""The most faults that an error lists."""


def reject(faults: Iterable[Fault]) -> None:
    """Raise InvalidInput if there are faults: it lists the first thousand and counts the others."""
    if listed := tuple(faults):
        raise InvalidInput(listed[:MAX_FAULTS], max(0, len(listed) - MAX_FAULTS))


def reject_field(at: str, reason: str | None) -> None:
    """Raise InvalidInput with a fault of the field `at`, if there is a reason."""
    if reason:
        raise InvalidInput.at_field(at, reason)


def os_reason(error: OSError) -> str:
    """Why the operating system did not do something, like `no space left on device`."""
    return (error.strerror or "unknown error").lower()


def where_raised(error: Exception) -> str:
    """Where an error was raised: modules, functions and lines, the innermost first."""
    frames = list(walk_tb(error.__traceback__))[-_FRAMES:]
    return " < ".join(
        f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}:{line}" for frame, line in reversed(frames)
    )
