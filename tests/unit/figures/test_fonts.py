"""Names in any script: drawn from a font that has their letters, or as codes, and never as boxes."""

import logging
import re
import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager

from grids.figures.save import _fonts_for, save
from grids.figures.style import in_style, new_figure

NAMES = ["兴奋", "抑制", "$x_1^2$ a_b", "שלום عربي", "e\u0301", "a  b"]
WARNING = r"fonts: no installed font has letters of some names \(script: CJK\).* Noto Sans CJK,"


def make_font(path, letters):
    """A font whose every letter is a square; in a family of its own."""
    builder, pen = FontBuilder(1000), TTGlyphPen(None)
    for draw, *points in ((pen.moveTo, (0, 0)), (pen.lineTo, (0, 700), (700, 700), (700, 0))):
        for point in points:
            draw(point)
    pen.closePath()
    names = [".notdef", *(f"uni{ord(letter):04X}" for letter in letters)]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, letters), names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular", "psName": path.stem})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """No fonts but those of matplotlib, and what is added."""
    manager = font_manager.fontManager
    own = [entry for entry in manager.ttflist if "matplotlib" in entry.fname]
    monkeypatch.setattr(manager, "ttflist", own)
    found = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    _fonts_for.cache_clear()

    def add(family, letters):
        make_font(tmp_path / f"{family}.ttf", letters)
        found.append(str(tmp_path / f"{family}.ttf"))
        _fonts_for.cache_clear()

    yield add
    _fonts_for.cache_clear()


def drawn(tmp_path, names):
    """Texts of a figure with names in ticks, legend, title and bold; no warning may come while it is drawn."""
    with in_style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = new_figure(5, 4)
        ax = figure.subplots()
        for i, name in enumerate(names):
            ax.plot([0, 1], [i, i], label=name)
        ax.set_yticks(range(len(names)), names)
        ax.set_xticks([0, 1])
        ax.set_xticklabels([names[0], "b"])
        ax.set_title(names[-1], weight="bold")
        ax.legend()
        save(figure, *(tmp_path / f"figure.{suffix}" for suffix in ("svg", "pdf", "png")))
    return re.findall(
        r"<text[^>]*?font-family: ([^;\"]*)[^>]*>([^<]*)</text>", (tmp_path / "figure.svg").read_text()
    )


def test_letters_come_from_installed_fonts_that_have_them(installed, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    installed("Square", "兴奋抑")
    installed("Other", "制奋")
    installed("Unused", "xyz")
    texts = drawn(tmp_path, NAMES)
    families = {text: family for family, text in texts}
    assert set(families) == {*NAMES[:-1], "a\N{NO-BREAK SPACE} b", "b"}
    assert families["兴奋"].startswith("'DejaVu Sans', 'Square', 'Other', 'Verdana'")
    assert "Square" not in families["b"] and "Unused" not in str(families)
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert all(name in pdf for name in (b"Square", b"Other", b"DejaVuSans"))
    assert not [record for record in caplog.records if record.name == "grids"]


def test_letters_that_no_font_has_are_codes_and_told(installed, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    installed("Square", "兴奋")
    names = ["兴奋", "兴制", "\ud800", "a\u2067b", "抑"]
    texts = [text for _, text in drawn(tmp_path, names)]
    assert set(texts) == {"兴奋", "兴\\u5236", "\\ud800", "\\u6291", "ab", "b"}
    told = [record.getMessage() for record in caplog.records if record.name == "grids"]
    assert len(told) == 2 and re.match(WARNING, told[0]) and "(script: Symbols)" in told[1]


@settings(max_examples=15)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=6),
        min_size=1,
        max_size=3,
    )
)
def test_no_name_breaks_a_figure(tmp_path_factory, names):
    drawn(tmp_path_factory.mktemp("figure"), names)
