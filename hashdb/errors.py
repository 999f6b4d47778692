"""Every error that hashdb raises on purpose.

    HashDBError
    ├── MalformedRequest          the bytes are not what they claim to be (not JSON, not multipart)
    ├── NotAuthenticated          no key, or not one that is valid now
    │   └── SignInRefused         (console) a name, a password or a code that is not right
    ├── NotAllowed
    │   ├── ScopeMissing          the key lacks a scope
    │   ├── MemberSuspended       the key's member is suspended
    │   ├── NotYours              the thing belongs to another member
    │   ├── OwnContribution       opinions on it are for other members to give
    │   ├── NoLabel               the operator set no label for what comes by another system's protocol
    │   ├── BankOfMember          in HMA's view: banks are members, whom the operator adds
    │   ├── FetchRefused          this service fetches nothing from that address
    │   ├── MediaRefused          this service takes hashes, not pictures
    │   ├── WebhooksOff           the operator lets nothing be pushed
    │   └── FormRefused           (console) a form that was not made for this session
    ├── NotFound
    ├── MethodNotAllowed
    ├── Conflict
    │   ├── AlreadyWithdrawn
    │   ├── NotActive             a contribution that has ended, or is suspended, takes no change and no opinion
    │   ├── RetiredKept           what keeps something doubted from coming back unseen is for the operator to remove
    │   ├── AlreadyDecided        a case is decided once
    │   ├── AlreadyOpen           of a contribution, one case is open at a time
    │   ├── AlreadyRevoked
    │   ├── NameTaken             a member or a user of that name, or one that looks like it, exists
    │   ├── IncidentExists        an incident of that label exists
    │   ├── TooManyWebhooks       a member has as many as it may
    │   └── IdempotencyKeyReused  the same Idempotency-Key came with another body
    ├── FeedRestarted             the cursor is of another epoch, or past the head of the log
    ├── TooLarge
    ├── UnsupportedContent
    │   ├── WrongContentType
    │   └── UnreadablePicture     not a picture, truncated, a bomb, a zero side, too slow to read
    ├── InvalidInput              well-formed, but refused: every fault of the request at once
    ├── LimitReached              a limit of the key or the member; says when to come again
    │   └── TooManyAtOnce         the key holds its share of a worker already
    │       └── HashingBusy       the key's share of the pictures that wait is full
    ├── Unavailable
    │   ├── StoreBusy             the database did not take the write, or does not answer
    │   └── IndexNotReady         the index is being built from the store
    ├── BadNote                   (client) a signed checkpoint that is none, or not signed by the log's key
    ├── LogRewritten              (client) the log is not the one of which a checkpoint was kept
    ├── NotSigned                 (client) a webhook's delivery that is not signed by its secret, or is old
    ├── NoCopy                    (client) there is no local copy, or none that was ever level
    ├── CopyInUse                 (client) another process syncs the local copy
    ├── ServiceError              (client) an answer that the contract does not know
    ├── ServiceUnreachable        (client) no answer at all
    └── CannotStart               (command line) said instead of starting
        ├── BadSetting
        ├── UnsafeStart           the service would be open to others, or one of its secrets is
        ├── SchemaOutdated
        ├── WrongSigningKey       the log is signed by another key than the one that is here
        ├── DatabaseAway          no connection to PostgreSQL can be made
        ├── PortInUse
        ├── HomeInUse
        ├── BackupFailed
        ├── MoveFailed            the database is not copied to another one
        ├── UnfinishedCopy        the database is one that `hashdb copy-to` has not finished
        └── DemoFailed

Each is a dataclass that carries its data; `str()` of it is one sentence in lower case without a full stop.
Nothing here knows HTTP: `hashdb.web.problems` holds the table of status codes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input: where (`contributions[3].signals[0]`) and why."""

    at: str
    reason: str

    def __str__(self) -> str:
        return f"{self.at}: {self.reason}" if self.at else self.reason


@dataclass(eq=False)
class HashDBError(Exception):
    """The root; catching it catches all that hashdb raises on purpose."""

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def __reduce__(self) -> tuple[type[HashDBError], tuple[object, ...]]:
        """Pickle by field, so that an error crosses from a worker process whole."""
        return type(self), tuple(getattr(self, field.name) for field in dataclasses.fields(self))


@dataclass(eq=False)
class MalformedRequest(HashDBError):
    reason: str
    slug: ClassVar[str] = "malformed-request"
    title: ClassVar[str] = "Malformed request"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NotAuthenticated(HashDBError):
    slug: ClassVar[str] = "not-authenticated"
    title: ClassVar[str] = "Not authenticated"

    def __str__(self) -> str:
        return "a valid key is needed: send it as `Authorization: Bearer hdb_…`"


@dataclass(eq=False)
class SignInRefused(NotAuthenticated):
    reason: str
    slug: ClassVar[str] = "sign-in-refused"
    title: ClassVar[str] = "Not signed in"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NotAllowed(HashDBError):
    slug: ClassVar[str] = "not-allowed"
    title: ClassVar[str] = "Not allowed"


@dataclass(eq=False)
class ScopeMissing(NotAllowed):
    scope: str
    slug: ClassVar[str] = "scope-missing"
    title: ClassVar[str] = "Scope missing"

    def __str__(self) -> str:
        return f"this key lacks the scope {self.scope}"


@dataclass(eq=False)
class MemberSuspended(NotAllowed):
    slug: ClassVar[str] = "member-suspended"
    title: ClassVar[str] = "Member suspended"

    def __str__(self) -> str:
        return "the member of this key is suspended"


@dataclass(eq=False)
class NotYours(NotAllowed):
    what: str
    id: int
    slug: ClassVar[str] = "not-yours"
    title: ClassVar[str] = "Not yours"

    def __str__(self) -> str:
        return f"{self.what} {self.id} is another member's"


@dataclass(eq=False)
class OwnContribution(NotAllowed):
    contribution: int
    slug: ClassVar[str] = "own-contribution"
    title: ClassVar[str] = "Your own contribution"

    def __str__(self) -> str:
        return f"contribution {self.contribution} is your own: opinions on it are for other members to give"


@dataclass(eq=False)
class NoLabel(NotAllowed):
    slug: ClassVar[str] = "no-label"
    title: ClassVar[str] = "No label for what comes this way"

    def __str__(self) -> str:
        return "this protocol tells no label, and the operator has set none in HASHDB_INTEROP_LABEL"


@dataclass(eq=False)
class BankOfMember(NotAllowed):
    slug: ClassVar[str] = "bank-of-member"
    title: ClassVar[str] = "A bank is a member's"

    def __str__(self) -> str:
        return "a bank here is what a member contributes: the operator adds members"


@dataclass(eq=False)
class FetchRefused(NotAllowed):
    slug: ClassVar[str] = "fetch-refused"
    title: ClassVar[str] = "Nothing is fetched from there"

    def __str__(self) -> str:
        return "this service fetches nothing from that address: send the picture itself"


@dataclass(eq=False)
class MediaRefused(NotAllowed):
    slug: ClassVar[str] = "media-refused"
    title: ClassVar[str] = "Pictures are not accepted"

    def __str__(self) -> str:
        return "this service takes hashes only: hash pictures at your side, with `hashdb hash`"


@dataclass(eq=False)
class WebhooksOff(NotAllowed):
    slug: ClassVar[str] = "webhooks-off"
    title: ClassVar[str] = "Webhooks are off"

    def __str__(self) -> str:
        return "this service pushes nothing: read the feed, with `?wait=`"


@dataclass(eq=False)
class FormRefused(NotAllowed):
    slug: ClassVar[str] = "form-refused"
    title: ClassVar[str] = "Form refused"

    def __str__(self) -> str:
        return "this form was made for another session, and nothing was changed: open the page again and send it anew"


@dataclass(eq=False)
class NotFound(HashDBError):
    what: str
    slug: ClassVar[str] = "not-found"
    title: ClassVar[str] = "Not found"

    def __str__(self) -> str:
        return f"{self.what} does not exist"


@dataclass(eq=False)
class MethodNotAllowed(HashDBError):
    allowed: str
    slug: ClassVar[str] = "method-not-allowed"
    title: ClassVar[str] = "Method not allowed"

    def __str__(self) -> str:
        return f"this address takes {self.allowed}"


@dataclass(eq=False)
class Conflict(HashDBError):
    slug: ClassVar[str] = "conflict"
    title: ClassVar[str] = "Conflict"


@dataclass(eq=False)
class AlreadyWithdrawn(Conflict):
    contribution: int
    slug: ClassVar[str] = "already-withdrawn"
    title: ClassVar[str] = "Already withdrawn"

    def __str__(self) -> str:
        return f"contribution {self.contribution} is already withdrawn"


@dataclass(eq=False)
class NotActive(Conflict):
    contribution: int
    now: str
    slug: ClassVar[str] = "not-active"
    title: ClassVar[str] = "Not active"

    def __str__(self) -> str:
        return f"contribution {self.contribution} is {self.now}: it takes no change and no opinion"


@dataclass(eq=False)
class RetiredKept(Conflict):
    contribution: int
    slug: ClassVar[str] = "retired-kept"
    title: ClassVar[str] = "Kept while retired"

    def __str__(self) -> str:
        return (
            f"contribution {self.contribution} is before a reviewer, quarantined or retired: its signals are kept until"
            " 90 days after its withdrawal, so that it does not come back unseen; erase it without now=1, or ask the"
            " operator"
        )


@dataclass(eq=False)
class AlreadyDecided(Conflict):
    case: int
    slug: ClassVar[str] = "already-decided"
    title: ClassVar[str] = "Already decided"

    def __str__(self) -> str:
        return f"case {self.case} is already decided"


@dataclass(eq=False)
class AlreadyOpen(Conflict):
    contribution: int
    slug: ClassVar[str] = "already-open"
    title: ClassVar[str] = "Already open"

    def __str__(self) -> str:
        return f"a case on contribution {self.contribution} is open already"


@dataclass(eq=False)
class AlreadyRevoked(Conflict):
    key: int
    slug: ClassVar[str] = "already-revoked"
    title: ClassVar[str] = "Already revoked"

    def __str__(self) -> str:
        return f"key {self.key} is already revoked"


@dataclass(eq=False)
class NameTaken(Conflict):
    name: str
    what: str = "member"
    like: str = ""
    slug: ClassVar[str] = "name-taken"
    title: ClassVar[str] = "Name taken"

    def __str__(self) -> str:
        if self.like:
            return f"{self.name} is easily mistaken for the {self.what} {self.like}: choose another name"
        return f"a {self.what} named {self.name} exists already"


@dataclass(eq=False)
class IncidentExists(Conflict):
    label: str
    slug: ClassVar[str] = "incident-exists"
    title: ClassVar[str] = "Incident exists"

    def __str__(self) -> str:
        return f"an incident labelled {self.label} exists already"


@dataclass(eq=False)
class TooManyWebhooks(Conflict):
    most: int
    slug: ClassVar[str] = "too-many-webhooks"
    title: ClassVar[str] = "Too many webhooks"

    def __str__(self) -> str:
        return f"a member may have {self.most} webhooks: delete one first"


@dataclass(eq=False)
class IdempotencyKeyReused(Conflict):
    slug: ClassVar[str] = "idempotency-key-reused"
    title: ClassVar[str] = "Idempotency key reused"

    def __str__(self) -> str:
        return "this Idempotency-Key was used within 24 hours for another request"


@dataclass(eq=False)
class FeedRestarted(HashDBError):
    epoch: str
    slug: ClassVar[str] = "feed-restarted"
    title: ClassVar[str] = "Start over"

    def __str__(self) -> str:
        return "this cursor is not of the present log: drop your copy and read again from 0"


@dataclass(eq=False)
class TooLarge(HashDBError):
    what: str
    limit: int
    slug: ClassVar[str] = "too-large"
    title: ClassVar[str] = "Too large"

    def __str__(self) -> str:
        return f"{self.what} may have at most {self.limit:,}"


@dataclass(eq=False)
class UnsupportedContent(HashDBError):
    slug: ClassVar[str] = "unsupported-content"
    title: ClassVar[str] = "Unsupported content"


@dataclass(eq=False)
class WrongContentType(UnsupportedContent):
    expected: str
    slug: ClassVar[str] = "wrong-content-type"
    title: ClassVar[str] = "Wrong Content-Type"

    def __str__(self) -> str:
        return f"this address takes {self.expected}"


@dataclass(eq=False)
class UnreadablePicture(UnsupportedContent):
    reason: str
    faults: tuple[Fault, ...] = ()
    slug: ClassVar[str] = "unreadable-picture"
    title: ClassVar[str] = "Unreadable picture"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class InvalidInput(HashDBError):
    faults: tuple[Fault, ...]
    omitted: int = 0
    slug: ClassVar[str] = "invalid-input"
    title: ClassVar[str] = "Invalid input"

    def __str__(self) -> str:
        count = len(self.faults) + self.omitted
        if count == 1:
            return str(self.faults[0])
        return f"{count:,} faults, the first: {self.faults[0]}"


@dataclass(eq=False)
class LimitReached(HashDBError):
    limit: str
    retry_after: int
    slug: ClassVar[str] = "limit-reached"
    title: ClassVar[str] = "Limit reached"

    def __str__(self) -> str:
        return f"the limit of {self.limit} is reached"


@dataclass(eq=False)
class TooManyAtOnce(LimitReached):
    slug: ClassVar[str] = "too-many-at-once"
    title: ClassVar[str] = "Too many at once"

    def __str__(self) -> str:
        return f"this key has too much under way: the limit is {self.limit}; send this again when one is answered"


@dataclass(eq=False)
class HashingBusy(TooManyAtOnce):
    slug: ClassVar[str] = "hashing-busy"
    title: ClassVar[str] = "Hashing busy"

    def __str__(self) -> str:
        return f"too many pictures wait to be hashed: the limit is {self.limit}; nothing was stored"


@dataclass(eq=False)
class Unavailable(HashDBError):
    retry_after: int
    slug: ClassVar[str] = "unavailable"
    title: ClassVar[str] = "Unavailable"

    def __str__(self) -> str:
        return "the service cannot answer now"


@dataclass(eq=False)
class StoreBusy(Unavailable):
    slug: ClassVar[str] = "store-busy"
    title: ClassVar[str] = "Store busy"

    def __str__(self) -> str:
        return "the database is busy or away: ask again"


@dataclass(eq=False)
class IndexNotReady(Unavailable):
    slug: ClassVar[str] = "index-not-ready"
    title: ClassVar[str] = "Index not ready"

    def __str__(self) -> str:
        return "the index is being built from the database"


@dataclass(eq=False)
class BadNote(HashDBError):
    reason: str
    slug: ClassVar[str] = "bad-note"
    title: ClassVar[str] = "Bad note"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class LogRewritten(HashDBError):
    reason: str
    slug: ClassVar[str] = "log-rewritten"
    title: ClassVar[str] = "Log rewritten"

    def __str__(self) -> str:
        return f"the log is not the one of which the checkpoint was kept: {self.reason}"


@dataclass(eq=False)
class NotSigned(HashDBError):
    reason: str
    slug: ClassVar[str] = "not-signed"
    title: ClassVar[str] = "Not signed"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NoCopy(HashDBError):
    folder: str
    slug: ClassVar[str] = "no-copy"
    title: ClassVar[str] = "No local copy"

    def __str__(self) -> str:
        return f"there is no local copy in {self.folder}: run `hashdb sync`"


@dataclass(eq=False)
class CopyInUse(HashDBError):
    folder: str
    slug: ClassVar[str] = "copy-in-use"
    title: ClassVar[str] = "Local copy in use"

    def __str__(self) -> str:
        return f"another process syncs the local copy in {self.folder}"


@dataclass(eq=False)
class ServiceError(HashDBError):
    status: int
    detail: str
    slug: ClassVar[str] = "service-error"
    title: ClassVar[str] = "Service error"

    def __str__(self) -> str:
        return f"the service answered {self.status}: {self.detail}"


@dataclass(eq=False)
class ServiceUnreachable(HashDBError):
    url: str
    reason: str
    slug: ClassVar[str] = "service-unreachable"
    title: ClassVar[str] = "Service unreachable"

    def __str__(self) -> str:
        return f"no answer from {self.url}: {self.reason}"


@dataclass(eq=False)
class CannotStart(HashDBError):
    slug: ClassVar[str] = "cannot-start"
    title: ClassVar[str] = "Cannot start"


@dataclass(eq=False)
class BadSetting(CannotStart):
    setting: str
    reason: str
    slug: ClassVar[str] = "bad-setting"
    title: ClassVar[str] = "Bad setting"

    def __str__(self) -> str:
        return f"{self.setting}: {self.reason}"


@dataclass(eq=False)
class UnsafeStart(CannotStart):
    reason: str
    remedy: str
    slug: ClassVar[str] = "unsafe-start"
    title: ClassVar[str] = "Unsafe start"

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


@dataclass(eq=False)
class SchemaOutdated(CannotStart):
    found: str
    needed: str
    slug: ClassVar[str] = "schema-outdated"
    title: ClassVar[str] = "Schema outdated"

    def __str__(self) -> str:
        newer = self.found.isdecimal() and self.found > self.needed
        remedy = "it was made by a newer hashdb" if newer else "run `hashdb upgrade`"
        return f"the database has schema {self.found}, this version needs {self.needed}: {remedy}"


@dataclass(eq=False)
class WrongSigningKey(CannotStart):
    needed: str
    reason: str
    slug: ClassVar[str] = "wrong-signing-key"
    title: ClassVar[str] = "Wrong signing key"

    def __str__(self) -> str:
        remedy = "put the key there, or run `hashdb key rotate-signing`"
        return f"the log is signed by {self.needed}, and {self.reason}: {remedy}"


@dataclass(eq=False)
class DatabaseAway(CannotStart):
    where: str
    reason: str
    slug: ClassVar[str] = "database-away"
    title: ClassVar[str] = "Database away"

    def __str__(self) -> str:
        return f"the database at {self.where} {self.reason}"


@dataclass(eq=False)
class PortInUse(CannotStart):
    address: str
    setting: str = "--port"
    slug: ClassVar[str] = "port-in-use"
    title: ClassVar[str] = "Port in use"

    def __str__(self) -> str:
        return f"{self.address} is already in use: stop what listens there, or choose another {self.setting}"


@dataclass(eq=False)
class HomeInUse(CannotStart):
    home: str
    slug: ClassVar[str] = "home-in-use"
    title: ClassVar[str] = "Home in use"

    def __str__(self) -> str:
        return f"another hashdb serves from {self.home}: stop it, or set HASHDB_HOME"


@dataclass(eq=False)
class BackupFailed(CannotStart):
    reason: str
    slug: ClassVar[str] = "backup-failed"
    title: ClassVar[str] = "Backup failed"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class MoveFailed(CannotStart):
    reason: str
    slug: ClassVar[str] = "move-failed"
    title: ClassVar[str] = "Move failed"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class UnfinishedCopy(CannotStart):
    slug: ClassVar[str] = "unfinished-copy"
    title: ClassVar[str] = "Unfinished copy"

    def __str__(self) -> str:
        return (
            "the database is an unfinished copy: stop the service that it is of, and run `hashdb copy-to` there again"
        )


@dataclass(eq=False)
class DemoFailed(CannotStart):
    reason: str
    slug: ClassVar[str] = "demo-failed"
    title: ClassVar[str] = "Demo failed"

    def __str__(self) -> str:
        return self.reason
