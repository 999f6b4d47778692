"""The visible text of DOCX, ODT and EPUB is read in order."""

from __future__ import annotations

import pytest

from hashdb.hashing.offices import read_office
from hashdb.hashing.reading import DOCUMENT_LIMITS
from tests.documents import docx, epub, odt, paragraph


def words_in(octets: bytes) -> list[str]:
    return read_office(octets, DOCUMENT_LIMITS).texts[0].split()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (paragraph("one") + paragraph("two"), "one two"),
        ("<w:p><w:r><w:t>o</w:t></w:r><w:r><w:t>ne</w:t><w:tab/><w:t>two</w:t></w:r></w:p>", "one two"),
        ("<w:p><w:r><w:t>one</w:t><w:br/><w:t>two</w:t></w:r></w:p>", "one two"),
        (f"<w:tbl><w:tr><w:tc>{paragraph('one')}</w:tc><w:tc>{paragraph('two')}</w:tc></w:tr></w:tbl>", "one two"),
        ("<w:p><w:del><w:r><w:t>no</w:t></w:r></w:del><w:ins><w:r><w:t>yes</w:t></w:r></w:ins></w:p>", "yes"),
        ("<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>no</w:t></w:r><w:r><w:t>yes</w:t></w:r></w:p>", "yes"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText><w:t>yes</w:t></w:r></w:p>", "yes"),
        (f"<mc:Choice>{paragraph('yes')}</mc:Choice><mc:Fallback>{paragraph('no')}</mc:Fallback>", "yes"),
        ("<w:p><w:r><w:t>well</w:t><w:noBreakHyphen/><w:t>known</w:t></w:r></w:p>", "well-known"),
    ],
)  # fmt: skip
def test_the_text_of_docx_is_read(body: str, expected: str) -> None:
    assert words_in(docx(body)) == expected.split()


def test_footnotes_come_after_the_text() -> None:
    assert words_in(docx(paragraph("one") + paragraph("two"), paragraph("note"))) == ["one", "two", "note"]
    body = (
        "<text:p>one<text:note><text:note-citation>1</text:note-citation><text:p>note</text:p></text:note> two</text:p>"
    )
    assert words_in(odt(body)) == ["one", "two", "note"]


def test_the_text_of_odt_is_read() -> None:
    body = (
        "<text:h>one</text:h><text:p>two<text:s/>three<text:tab/>four<text:line-break/>five<text:span>six</text:span></text:p>"
        "<text:tracked-changes><text:p>no</text:p></text:tracked-changes><office:annotation>no</office:annotation>"
    )
    assert words_in(odt(body)) == ["one", "two", "three", "four", "fivesix"]


def test_the_chapters_of_an_epub_are_read_in_the_order_of_its_spine() -> None:
    assert words_in(epub(["<p>one&nbsp;two</p>", "<p>three</p>"])) == ["one", "two", "three"]


def test_a_chapter_that_is_listed_many_times_is_read_once() -> None:
    items = "".join(f'<item id="c{n}" href="text%200.xhtml" media-type="application/xhtml+xml"/>' for n in range(500))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(500))
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    assert words_in(epub(["<p>one</p>"], {"OEBPS/book.opf": package})) == ["one"]


def test_an_external_target_is_not_loaded() -> None:
    header = '<Relationship Type="a/header" Target="http://127.0.0.1/a" TargetMode="External"/>'
    relations = f"<Relationships>{header}</Relationships>"
    assert words_in(docx(paragraph("one"), further={"word/_rels/document.xml.rels": relations})) == ["one"]
