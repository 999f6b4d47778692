"""The controls of a page: its links, and the buttons of its forms with the fields that they would send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import product
from urllib.parse import urljoin

from tests.web.console.visitors import PASSWORD

_OTHER = re.compile(r"<(?!/?(?:a|form|input|textarea|select|option|button)\b)[^>]*>")
"""A tag of no control. Nine in ten tags of a page are such tags; Python's slow parser does not have to read them."""

VALUES = {
    "name": "New name {n}",
    "label": "CI:other-{n}",
    "start": "2026-11-20T10:00",
    "note": "a reason",
    "text": "a note",
    "body": "a note",
    "q": "17",
    "find": "17",
    "number": "{number}",
    "expires_at": "2027-01-01",
    "signals": "phash:d1c4b2a09f8e7d6c",
    "present": PASSWORD,
    "password": f"{PASSWORD} {PASSWORD}",
    "again": f"{PASSWORD} {PASSWORD}",
    "until": "2027-01-01",
}
"""The text that a person enters into a field, by its name. Other fields stay unchanged. `{n}` differs each time."""


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """The fields that are sent unchanged: hidden fields and ticked boxes."""
    texts: dict[str, str] = field(default_factory=dict)
    radios: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    boxes: list[tuple[str, str]] = field(default_factory=list)
    """The boxes that select the rows of a list. They are not ticked."""
    buttons: list[Button] = field(default_factory=list)


@dataclass
class Button:
    """A button of a form."""

    label: str = ""
    name: str = ""
    value: str = ""
    action: str = ""


@dataclass(frozen=True)
class Press:
    """A press of a button, with the radio buttons chosen before."""

    action: str
    method: str
    label: str
    chosen: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...] = field(compare=False)

    @property
    def kind(self) -> tuple[str, ...]:
        """Return a value that is equal for the same button of another row or page."""
        path = self.action.partition("?")[0]
        if {name for name, _ in self.chosen} & {"period", "theme"}:
            return self.method, path, self.chosen[-1][0]  # One choice stands for all.
        return tuple(re.sub(r"\d+", "N", text) for text in (self.method, path, self.label, *map("=".join, self.chosen)))


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self._text = text
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._area = ""
        self._button: Button | None = None
        self.feed(_OTHER.sub(" ", text))

    def presses(self, n: int) -> Iterator[Press]:
        """Return each button of each form, once for each choice of its radio buttons."""
        for form in self.forms:
            for button in form.buttons or [Button()]:
                for chosen in product(*([(name, value) for value in form.radios[name][::-1]] for name in form.radios)):
                    yield self._press(form, button, chosen, n)

    def _press(self, form: Form, button: Button, chosen: tuple[tuple[str, str], ...], n: int) -> Press:
        number_to_type = re.search(r"Type (\d+) to confirm", self._text)
        texts = {
            name: VALUES.get(name, text).format(n=n, number=number_to_type[1] if number_to_type else "1")
            if name in VALUES and not text
            else text
            for name, text in form.texts.items()
        }
        selections = [(name, next(filter(None, values), "")) for name, values in form.choices.items()]
        pressed = [(button.name, button.value)] if button.name else []
        fields = (*form.fields, *form.boxes, *texts.items(), *selections, *chosen, *pressed)
        choice = ((button.name, button.value),) if button.name else ()
        return Press(button.action or form.action, form.method, button.label, (*chosen, *choice), fields)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "a" and has.get("href", "").startswith("/"):
            self.links.append(has["href"])
        if tag == "form" and has.get("method") != "dialog":
            self._form = Form(urljoin(self.address, has.get("action") or self.address), has.get("method", "get"))
            self.forms.append(self._form)
        if (form := self._form) is None:
            return
        name, kind = has.get("name", ""), has.get("type", "text")
        if tag == "input" and name:
            value = has.get("value", "")
            if kind == "radio":
                form.radios.setdefault(name, []).append(value)
            elif kind == "checkbox":
                if "checked" in has:
                    form.fields.append((name, has.get("value", "on")))
                elif name == "id":
                    form.boxes.append((name, value))
            elif kind in ("hidden", "range"):
                form.fields.append((name, value))
            elif kind != "file":
                form.texts[name] = value
        elif tag == "textarea":
            self._area, form.texts[name] = name, ""
        elif tag == "select":
            self._select, form.choices[name] = name, []
        elif tag == "option" and self._select:
            form.choices[self._select].append(has.get("value", "?"))
        elif tag == "button" and kind != "button":
            action = urljoin(self.address, has["formaction"]) if "formaction" in has else ""
            self._button = Button("", name, has.get("value", ""), action)
            form.buttons.append(self._button)

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.label = " ".join(f"{self._button.label} {data}".split())
        if self._form is None:
            return
        if self._area:
            self._form.texts[self._area] += data
        options = self._form.choices.get(self._select, [])
        if options and options[-1] == "?":
            options[-1] = data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""
        elif tag == "button":
            self._button = None
