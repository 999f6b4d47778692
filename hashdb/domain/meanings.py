"""What every code means, with an example: for the console, the command line, the API's document and the docs."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "behaviour": "Labels: what the content does",
    "tco_ground": "Grounds of Regulation (EU) 2021/784, Article 2(7)",
    "entity_list": "Lists of entities: whose list the entity is on",
    "context": "Contexts: what a reviewer should know",
    "basis": "Bases: why it was removed",
    "reason": "Reasons to withdraw or to dispute",
    "severity": "Severities",
    "tier": "Tiers of Tech Against Terrorism: derived from the codes",
    "incident_level": "Incident levels of GIFCT: what an incident begins with",
    "status": "Statuses of a contribution",
    "standing": "Standings of a contribution",
    "media": "Media: the kind of content",
    "algorithm": "Algorithms of signals",
    "profile": "Profiles: how many variants a contribution has",
    "stance": "Stances of an opinion",
    "cause": "Causes of a case without a dispute",
    "case_state": "States of a case",
    "decision": "Decisions on a case",
    "act": "Acts that may need two persons",
    "member_kind": "Kinds of members",
    "member_status": "Statuses of a member",
    "scope": "Scopes of keys",
    "role": "Roles of users",
    "topic": "Topics of webhooks",
    "outcome": "Outcomes of a delivery",
    "trouble": "Troubles of an attempt to deliver",
    "refusal": "Refusals of access",
    "action": "Actions of the log",
}
"""What the codes of each kind are for. The first six are the vocabulary, of which an operator may have another."""
_ACTIONS: Mapping[str, tuple[str, str]] = {
    "contribution.added": ("a member contributed", "a platform contributes a picture that it removed"),
    "contribution.amended": ("a contribution was changed", "its member gives it another label"),
    "contribution.withdrawn": ("its member withdrew it; it no longer matches", "the removal was reversed on appeal"),
    "contribution.expired": ("its time is over; it no longer matches", "its incident ended"),
    "contribution.suspended": ("it no longer matches, because its member is suspended", "a key was stolen"),
    "contribution.reinstated": ("it matches again", "its member was reinstated"),
    "contribution.erased": ("its signals and texts were permanently removed", "a court orders it"),
    "contribution.confirmed": ("its standing is confirmed now", "another member removed the same picture"),
    "contribution.disputed": ("its standing is disputed now", "another member found it in a news report"),
    "contribution.quarantined": ("it no longer matches until a later decision", "it is near a retired contribution"),
    "contribution.retired": ("it no longer matches, because a reviewer found it wrong", "it is a news photograph"),
    "contribution.cleared": ("its standing is unreviewed again", "the only dispute was upheld"),
    "contribution.committed": ("the log commits to its signals from now on", "an upgrade from version 0.1.0"),
    "opinion.given": ("a member confirmed or disputed a contribution", "a member disputes contribution 17"),
    "case.opened": ("a reviewer has to decide about a contribution", "a member disputed it"),
    "case.held": ("an open case quarantines its contribution from now on", "a flood of hits during a dispute"),
    "case.decided": ("a reviewer decided a case", "the contribution was upheld"),
    "case.noted": ("a reviewer noted something for other reviewers", "the case is like an earlier one"),
    "case.taken-over": ("a reviewer took a case from another reviewer", "the other one is away"),
    "member.added": ("a member was added", "an admin adds a platform"),
    "member.amended": ("a member was changed", "an admin sets a limit a day"),
    "member.suspended": ("a member was suspended; its keys are refused", "its key was stolen"),
    "member.reinstated": ("a suspended member may take part again", "the key was replaced"),
    "key.issued": ("a key was issued to a member", "a key with the scopes contribute and match"),
    "key.revoked": ("a key permanently stopped working", "it was found in a public repository"),
    "key.suspected": ("many different queries of a key had the same match", "the key may be reading hashes"),
    "user.added": ("a user of the console was added", "an admin adds a reviewer"),
    "user.amended": ("a user was changed", "a new password or another role"),
    "user.disabled": ("a user can no longer sign in", "a reviewer left the team"),
    "user.enabled": ("a disabled user can sign in again", "a reviewer came back"),
    "user.signed-in": ("a user signed in", "with a password and a code"),
    "user.signed-out": ("sessions of a user ended", "the user signed out"),
    "user.refused": ("a sign-in of a user failed", "the password was wrong"),
    "listing.exported": ("a user exported contributions from the console", "all of one member as CSV"),
    "listing.read": ("a key listed contributions of others that day", "an auditor's script"),
    "backup.made": ("a backup or a copy was begun", "hashdb backup at night"),
    "backup.verified": ("a backup was restored for a test and its log verified", "hashdb backup --verify"),
    "benign.added": ("an entry of the benign list was added", "an admin adds a test card"),
    "benign.deleted": ("an entry of the benign list was deleted", "a logo that a group uses now"),
    "incident.added": ("an incident was opened", "an attack with a label of its own"),
    "incident.amended": ("an incident was changed", "an admin sets its end"),
    "proposal.made": ("a person proposed a change that needs two persons; nothing changed", "to suspend a member"),
    "proposal.approved": (
        "a second person confirmed a proposal, and the service carried it out",
        "the member is suspended",
    ),
    "proposal.dropped": ("a proposal was dropped; nothing changed", "the first person was wrong"),
    "proposal.expired": ("no second person confirmed a proposal in time; nothing changed", "72 hours passed"),
    "webhook.added": ("a member added a webhook", "for the topic case.opened"),
    "webhook.amended": ("a webhook was changed", "another address"),
    "webhook.deleted": ("a webhook was deleted", "its server is gone"),
    "webhook.renewed": ("a webhook has a new secret", "the old one was shown in a log"),
    "webhook.disabled": ("the service disabled a webhook", "no delivery succeeded for days"),
    "upstream.added": ("the service follows the list of another service", "the list of another hashdb"),
    "upstream.amended": ("how it follows another service was changed", "it is paused"),
    "upstream.removed": ("the service no longer follows another service", "what came from it was withdrawn"),
    "settings.changed": ("the service runs with other safeguards or retention", "two persons are needed from now on"),
    "signer.added": ("another key signs the log from now on", "the first start of a service"),
    "seed.added": ("secret views are drawn from a new seed", "the operator renews the seed"),
    "seed.retired": ("a seed of secret views is no longer used", "after all members have the new one"),
    "set.committed": ("the log records the root over all contributions that match", "a minute after a contribution"),
    "log.begun": ("the log got the name of its epoch", "the first start after version 0.1.0"),
    "log.restored": ("the service was restored from a backup; later events are lost", "after a disk failed"),
    "verification.ended": ("a verification of the log in the console ended", "all events are as they were written"),
    "feed.read": ("a key read the feed that day", "a member's local copy"),
    "auth.refused": ("requests without a valid key, or without the scope, were refused", "3 with an expired key"),
    "counts.sealed": ("the digest of a day's counts was stored", "the counts of yesterday"),
    "report.exported": ("a report was made or downloaded", "a report on a quarter"),
}
_CODES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "behaviour": {
        "imminent_threat": ("announces an attack that may still happen", "a post that names a place and an hour"),
        "graphic_violence": ("shows killing, torture or mutilation", "a video of an execution"),
        "glorification": ("praises an attack, an attacker or a group", "a picture that calls an attacker a hero"),
        "incitement": ("calls for violence", "a poster that tells its readers to attack a group of people"),
        "recruitment": ("calls to join or to support a group", "a video in which a fighter asks viewers to join"),
        "instruction": ("teaches how to attack or to make weapons", "a page of a manual for explosives"),
        "material_support": ("asks for money or other support", "a picture with the address of a wallet"),
        "perpetrator_produced": ("made by an attacker, such as a live stream", "a frame of an attacker's live stream"),
        "branded_propaganda": (
            "carries the brand of a group or its media outlet",
            "a video with the logo of a media outlet",
        ),
        "manifesto": ("declaration of an attacker or a group", "the first page of an attacker's manifesto"),
    },
    "tco_ground": {
        "2.7.a": ("incites to a terrorist offence", "glorifies an attack so that others may follow"),
        "2.7.b": ("solicits a person to commit or contribute to one", "asks readers to attack, or to buy material"),
        "2.7.c": ("solicits a person to join a terrorist group", "a form with which to join a group"),
        "2.7.d": ("instructs on making or using weapons or other methods", "a drawing of a detonator"),
        "2.7.e": ("threatens to commit a terrorist offence", "an announcement of an attack on a city"),
    },
    "entity_list": {
        "UN": ("the sanctions list of the United Nations Security Council", "UN:example"),
        "EU": ("the sanctions lists of the European Union", "EU:example"),
        "UK": ("the proscribed organisations of the United Kingdom", "UK:example"),
        "US-FTO": ("the foreign terrorist organizations of the United States", "US-FTO:example"),
        "CA": ("the listed terrorist entities of Canada", "CA:example"),
        "AU": ("the listed terrorist organisations of Australia", "AU:example"),
        "NZ": ("the designated terrorist entities of New Zealand", "NZ:example"),
    },
    "context": {
        "edsa_copies_known": (
            "copies in education, documentary, science or art exist",
            "a frame that news reports also show",
        ),
        "contains_victim": ("a victim can be recognised", "a picture with the face of a hostage"),
        "synthetic": ("generated or altered by software", "a picture that a model drew"),
    },
    "basis": {
        "terms": ("the platform's terms of service", "the rules of the platform forbid praise of attacks"),
        "removal_order": ("a removal order of an authority", "an order under Article 3 of Regulation (EU) 2021/784"),
        "referral": ("a referral of an authority", "a notice of a police unit, which the platform checks"),
        "trusted_flagger": ("a notice of a trusted flagger", "a notice under Article 22 of the DSA"),
        "user_report": ("a report of a user", "a user pressed “report” under a post"),
        "own_detection": ("found by the platform itself", "a moderator or a classifier found it"),
    },
    "reason": {
        "not_terrorist_content": ("the content is not terrorist content", "a photograph of a football crowd"),
        "edsa_context": ("used in education, documentary, science or art", "a frame of a news report about an attack"),
        "wrong_label": ("the content has another label", "labelled instruction, but it only praises an attack"),
        "false_match": ("it matches different content", "a plain flag matches other flags"),
        "low_quality": ("too little detail to recognise the content", "a black frame"),
        "removal_reversed": ("the removal was reversed", "the platform put the post back on appeal"),
        "other": ("another reason; explain it in the note", "the member contributed the wrong file"),
    },
    "severity": {
        "0": ("lowest", "a symbol without context"),
        "1": ("low", "an old picture of a group's leader"),
        "2": ("medium", "a poster that praises a group"),
        "3": ("high", "a video of an execution"),
        "4": ("crisis", "a live stream of an attack that goes on"),
    },
    "tier": {
        "threat_to_life": ("tier 1: threatens lives", "the label imminent_threat, without a severity"),
        "threat_to_life.low": ("tier 1: capability, no intent", "imminent_threat with severity 0 or 1"),
        "threat_to_life.medium": ("tier 1: intent, no capability", "imminent_threat with severity 2"),
        "threat_to_life.high_unspecific": (
            "tier 1: intent and capability, but no place, victim or time",
            "imminent_threat with severity 3",
        ),
        "threat_to_life.high_specific": (
            "tier 1: intent and capability, with a place, a victim or a time",
            "imminent_threat with severity 4",
        ),
        "crisis": (
            "tier 2: made by the attacker of an attack of today or of the past",
            "the label perpetrator_produced, an incident, or severity 4",
        ),
        "designation": ("tier 3: official content of an entity that is on a list", "branded_propaganda with an entity"),
        "promotional": (
            "tier 4: supports an entity of tier 3, or praises or teaches terrorism",
            "any of the three classes below",
        ),
        "promotional.unofficial_media": (
            "tier 4: media of supporters",
            "branded_propaganda, recruitment or material_support without an entity",
        ),
        "promotional.inspirational": ("tier 4: praises or incites", "glorification, incitement or manifesto"),
        "promotional.instructional": ("tier 4: teaches", "instruction"),
    },
    "incident_level": {
        "PCI": (
            "Perpetrator Content Incident: GIFCT's activation for content of attackers, since 2025",
            "PCI:example-2026",
        ),
        "CIP": ("Content Incident Protocol: before 2025, for a video of the attacker", "CIP:example-2024"),
        "CI": ("Content Incident: before 2025, for other content of the attacker", "CI:example-2024"),
    },
    "status": {
        "active": ("it matches, unless it is quarantined or retired", "a contribution of today"),
        "withdrawn": ("its member withdrew it; it never matches again", "withdrawn because an appeal succeeded"),
        "expired": (
            "its time is over: its member set it, its incident ended, or the retention of a label passed",
            "its incident ended yesterday",
        ),
        "suspended": (
            "its member is suspended; it matches again when the member is reinstated",
            "the member's key was stolen",
        ),
    },
    "standing": {
        "unreviewed": ("no other member has given an opinion; it matches", "a new contribution"),
        "confirmed": ("another member confirms it; it matches", "a second platform removed the same video"),
        "disputed": (
            "another member disputes it and a case is open; it still matches, and the match says so",
            "a member says that it is a news report",
        ),
        "quarantined": (
            "a reviewer or the service keeps it from matching until a later decision",
            "it is near a retired contribution",
        ),
        "retired": (
            "a reviewer found it wrong; it does not match, and only a reviewer can change that",
            "a reviewer found a news photograph",
        ),
    },
    "media": {
        "image": ("a picture", "a poster"),
        "video": ("a video; it may have the hashes of its frames", "a video of two minutes"),
        "video_frame": ("a frame of a video, contributed as a picture", "the title card of a video"),
        "document": ("a document; it may have the hashes of its pages and words", "a magazine as PDF"),
        "audio": ("a sound recording", "a chant; hashdb matches equal files only"),
        "text": ("a text without pages", "a manifesto as plain text"),
    },
    "algorithm": {
        "pdq": (
            "256 bits, from the brightness of a picture reduced to 64 by 64; on by default",
            "pdq: and 64 hex digits",
        ),
        "phash256": ("pHash with 256 bits; on by default", "phash256: and 64 hex digits"),
        "phash": ("pHash with 64 bits; on by default", "phash:d1c4b2a09f8e7d6c"),
        "dhash": ("difference hash, 64 bits", "dhash: and 16 hex digits"),
        "whash": ("wavelet hash, 64 bits", "whash: and 16 hex digits"),
        "ahash": ("average hash, 64 bits", "ahash: and 16 hex digits"),
        "simhash256": (
            "256 bits, from the words of a window of a text; on by default",
            "simhash256: and 64 hex digits",
        ),
        "sha256": ("digest of a file, 256 bits; it matches equal files only", "what sha256sum prints"),
        "md5": ("digest of a file, 128 bits; it matches equal files only", "what md5sum prints"),
        "url": ("digest of a normalised address, 256 bits; it matches this address only", "url: and 64 hex digits"),
    },
    "profile": {
        "plain": ("the picture itself", "a list of hashes without pictures"),
        "balanced": ("also parts of it, so that most cropped and tilted copies match", "severity 0 to 2"),
        "thorough": ("also more parts: finds more copies, takes more of the index", "severity 3 and 4"),
    },
    "stance": {
        "confirms": ("the member agrees with the contribution", "the member removed the same picture"),
        "disputes": ("the member finds it wrong; this opens a case", "the member found it in a news report"),
    },
    "cause": {
        "contested": (
            "a member confirmed a contribution that is quarantined or retired",
            "a reviewer retired a picture that another member has removed, too",
        ),
        "near_retired": (
            "the contribution is near a retired one, and starts quarantined",
            "a member contributes a retired news photograph again",
        ),
        "flood": (
            "the contribution had more hits than the operator's cap, and is quarantined",
            "a blank card matches thousands of uploads",
        ),
    },
    "case_state": {
        "open": ("a reviewer must still decide", "a dispute of today"),
        "decided": ("a reviewer has decided", "a case that was upheld"),
    },
    "decision": {
        "uphold": ("the contribution is right, and the case is closed", "the content is what its label says"),
        "quarantine": (
            "the contribution does not match until a later decision",
            "a reviewer waits for the member's answer",
        ),
        "retire": (
            "the contribution was wrong and no longer matches; a later one near it starts quarantined",
            "the content is a news report",
        ),
    },
    "act": {
        "member.suspend": ("suspend a member", "an admin proposes it because a key was stolen"),
        "benign.add": ("add a benign entry", "an admin proposes a test card"),
        "case.retire": ("retire a contribution", "a reviewer proposes it in a case"),
    },
    "member_kind": {
        "platform": ("an online service that removes content", "a video platform"),
        "trusted_flagger": ("an organisation that reports content to platforms", "a hotline"),
        "authority": ("a public authority", "a police unit that sends referrals"),
        "operator": (
            "the organisation that runs this service, or another hashdb that it follows",
            "the association that runs the service",
        ),
    },
    "member_status": {
        "active": ("it may take part", "a member of today"),
        "suspended": (
            "its keys are refused, its opinions do not count, and its contributions do not match",
            "a member whose key was stolen",
        ),
    },
    "scope": {
        "contribute": ("contribute, change, withdraw and erase own contributions", "the program that removes posts"),
        "match": ("match, and confirm or dispute contributions of others", "the program that receives uploads"),
        "feed": ("read all active contributions with their signals, for a local copy", "a sidecar"),
        "audit": ("read everything: all contributions, the audit log, reports", "an auditor's script"),
        "review": ("decide cases", "a member's own moderation tool"),
        "admin": (
            "manage members, keys, incidents and the benign list; includes review and audit",
            "the operator's tools",
        ),
    },
    "role": {
        "admin": (
            "manages members, keys, incidents, the benign list and users; may do all that the others may",
            "the operator of the service",
        ),
        "reviewer": ("reads everything and decides cases", "a moderator of the review team"),
        "auditor": ("reads everything and changes nothing", "a regulator, or a researcher"),
    },
    "topic": {
        "feed.changed": ("contributions were added, changed or removed (scope feed)", "a new contribution"),
        "case.opened": ("a case on one of your contributions was opened", "another member disputed it"),
        "case.decided": ("a case that you take part in was decided", "a reviewer upheld your contribution"),
        "match.reversed": (
            "a match that you were given was withdrawn, retired or quarantined (scope match)",
            "a contribution that matched an upload of yours was wrong",
        ),
        "case.due": ("open cases of the queue are due soon (scope review)", "cases 17 and 21 are due tomorrow"),
    },
    "outcome": {
        "waiting": ("not yet delivered; the service tries again", "the first attempt failed a minute ago"),
        "delivered": ("your server accepted it", "your server answered 200"),
        "failed": ("the service gave up", "no attempt of a day succeeded"),
    },
    "trouble": {
        "address_refused": ("the service may not connect to the address", "the name leads to a private address"),
        "name_unknown": ("the host name does not resolve", "the domain has expired"),
        "not_connected": ("the connection failed", "no server listens there"),
        "certificate": ("the TLS certificate is not valid", "the certificate has expired"),
        "too_slow": ("it took too long", "the server answered after a minute"),
        "no_answer": ("the response was not valid HTTP", "another protocol answers at this port"),
        "status": ("the HTTP status was not 2xx", "the server answered 500"),
    },
    "refusal": {
        "no-key": ("the request had no key", "a program without HASHDB_KEY"),
        "unknown-key": ("no such key", "a key of another service"),
        "expired-key": ("the key has expired", "a key for a trial of a month"),
        "revoked-key": ("the key was revoked", "a stolen key is still in use"),
        "scope-missing": ("the key or user may not do this", "a key with the scope match asks to contribute"),
        "member-suspended": ("the member of the key is suspended", "a suspended member queries"),
        "form-refused": ("a form of the console was made elsewhere", "a form of a session that has ended"),
        "unknown-user": ("no user has this name", "a misspelled name at the sign-in"),
    },
    "action": _ACTIONS,
}
"""By kind and code, the meaning and an example; lower case and without a full stop."""
MEANINGS: Mapping[str, Mapping[str, str]] = {
    kind: {code: meaning for code, (meaning, _) in codes.items()} for kind, codes in _CODES.items()
}
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    kind: {code: example for code, (_, example) in codes.items()} for kind, codes in _CODES.items()
}


def explain(kind: str, code: str) -> str | None:
    """The meaning of a code with its example, in one sentence without a full stop; None if it is not known here.

    >>> explain("decision", "uphold")
    'the contribution is right, and the case is closed; for example, the content is what its label says'
    """
    codes = _CODES.get(kind, {})
    return None if code not in codes else "; for example, ".join(codes[code])


def explain_all(kind: str) -> dict[str, str]:
    """The meaning of each code of a kind, with its example."""
    return {code: "; for example, ".join(meaning_and_example) for code, meaning_and_example in _CODES[kind].items()}
