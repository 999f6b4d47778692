"""Charts: well-formed, with nothing of a name taken for markup."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from hashdb.web.charts import bars, columns


@pytest.mark.parametrize("chart", [bars, columns])
@pytest.mark.parametrize(
    "numbers", [[], [("a", 0)], [("<b>&", 3), ("x" * 100, 10**9)], [(f"2026-{n}", n) for n in range(62)]]
)
def test_a_chart_is_a_picture_of_its_numbers(chart: object, numbers: list[tuple[str, int]]) -> None:
    drawn = chart("A & B", numbers)  # type: ignore[operator]
    root = ElementTree.fromstring(drawn)
    rects = [element for element in root.iter() if element.tag.endswith("rect")]
    assert len(rects) == len(numbers)
    assert all(float(rect.attrib[side]) >= 0 for rect in rects for side in ("width", "height", "x", "y"))
    assert ("none" in "".join(root.itertext())) == (not numbers)


def test_the_largest_number_has_the_longest_bar() -> None:
    root = ElementTree.fromstring(bars("", [("a", 10), ("b", 5)]))
    widths = [float(element.attrib["width"]) for element in root.iter() if element.tag.endswith("rect")]
    assert widths[0] == pytest.approx(2 * widths[1])
