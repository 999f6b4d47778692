"""What the codes of the default vocabulary mean, for the command line, the documentation and whoever shows a code."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "behaviour": {
        "imminent_threat": "announces an attack that may still happen",
        "graphic_violence": "shows killing, torture or mutilation",
        "glorification": "praises an attack, an attacker or a group",
        "incitement": "calls for violence",
        "recruitment": "calls to join or to support a group",
        "instruction": "teaches how to attack or to make weapons",
        "material_support": "asks for money or other support",
        "perpetrator_produced": "made by an attacker, such as a live stream",
        "branded_propaganda": "carries the brand of a group or its media outlet",
        "manifesto": "declaration of an attacker or a group",
    },
    "tco_ground": {
        "2.7.a": "incites to a terrorist offence",
        "2.7.b": "solicits a person to commit or contribute to one",
        "2.7.c": "solicits a person to join a terrorist group",
        "2.7.d": "instructs on making or using weapons or other methods",
        "2.7.e": "threatens to commit a terrorist offence",
    },
    "entity_list": {
        "UN": "the sanctions list of the United Nations Security Council",
        "EU": "the sanctions lists of the European Union",
        "UK": "the proscribed organisations of the United Kingdom",
        "US-FTO": "the foreign terrorist organizations of the United States",
        "CA": "the listed terrorist entities of Canada",
        "AU": "the listed terrorist organisations of Australia",
        "NZ": "the designated terrorist entities of New Zealand",
    },
    "context": {
        "edsa_copies_known": "copies in education, documentary, science or art exist",
        "contains_victim": "a victim can be recognised",
        "synthetic": "generated or altered by software",
    },
    "basis": {
        "terms": "the platform's terms of service",
        "removal_order": "a removal order of an authority",
        "referral": "a referral of an authority",
        "trusted_flagger": "a notice of a trusted flagger",
        "user_report": "a report of a user",
        "own_detection": "found by the platform itself",
    },
    "reason": {
        "not_terrorist_content": "the content is not terrorist content",
        "edsa_context": "used in education, documentary, science or art",
        "wrong_label": "the content has another label",
        "false_match": "it matches different content",
        "low_quality": "too little detail to recognise the content",
        "removal_reversed": "the removal was reversed, for example on appeal",
        "other": "another reason; explain it in the note",
    },
}
"""By kind, in the order of `labels.toml`. An operator's own vocabulary may have codes that are not here."""
TITLES: Mapping[str, str] = {
    "behaviour": "Labels: what the content does",
    "tco_ground": "Grounds of Regulation (EU) 2021/784, Article 2(7)",
    "entity_list": "Lists of entities, for `--entity`",
    "context": "Contexts: what a reviewer should know",
    "basis": "Bases: why it was removed",
    "reason": "Reasons to withdraw or to dispute",
}
"""What the codes of each kind are for."""
