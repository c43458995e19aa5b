"""Pictures of studies: who is on the front, and that names do not cover each other."""

import re
from xml.etree import ElementTree

import pytest

from frugalseg.report.scatter import Point, front, scatter

SVG = "{http://www.w3.org/2000/svg}"
CROWD = [
    Point(name=f"network-{i}", cost=(1 + 0.07 * i) * 1e6, score=60 + i % 3, spread=0.3)
    for i in range(12)
]


def draw(points: list[Point]) -> ElementTree.Element:
    return ElementTree.fromstring(
        scatter(points, title="a & b", cost="bytes", unit="B", score="mIoU, %")
    )


def place(text: ElementTree.Element) -> tuple[float, float, float]:
    x, y, wide = float(text.get("x", "")), float(text.get("y", "")), 6.0 * len(text.text or "")
    return x - wide if text.get("text-anchor") == "end" else x, y, wide


def test_the_front_is_of_those_that_none_surpasses() -> None:
    points = [
        Point(name=name, cost=cost, score=score)
        for name, cost, score in (("a", 1, 50), ("twin", 1, 49), ("b", 2, 50), ("c", 3, 60))
    ]
    assert [point.name for point in front(points)] == ["a", "c"]


def test_names_do_not_cover_each_other_where_many_are_close() -> None:
    texts = [t for t in draw(CROWD).iter(f"{SVG}text") if (t.text or "").startswith("network-")]
    assert len(texts) == len(CROWD)
    for i, one in enumerate(texts):
        for other in texts[:i]:
            (x, y, wide), (x2, y2, wide2) = place(one), place(other)
            apart = x + wide <= x2 or x2 + wide2 <= x or abs(y - y2) >= 11
            assert apart, (one.text, other.text)


@pytest.mark.parametrize("cost", [1.0, 7e5, 3e9])
def test_one_point_alone_is_drawn_within_the_picture_on_a_labelled_scale(cost: float) -> None:
    picture = draw([Point(name="<only>", cost=cost, score=50.0)])
    dot = next(picture.iter(f"{SVG}circle"))
    assert 64 <= float(dot.get("cx", "")) <= 736
    assert 48 <= float(dot.get("cy", "")) <= 424
    shown = [t.text or "" for t in picture.iter(f"{SVG}text")]
    assert any(re.fullmatch(r"\d+( [kMG]?B)?", text) for text in shown)
    assert "<only>" in shown
