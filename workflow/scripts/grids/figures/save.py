"""Write a figure to files: whole files only, all letters legible, the same bytes for the same figure."""

import contextlib
import functools
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from grids.figures.style import in_style
from grids.io.errors import InputError
from grids.io.logging import log
from grids.io.writing import whole

# Entries that would carry the time of writing are switched off.
METADATA = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}
_CJK = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}


def save(figure: Figure, *paths: str | os.PathLike) -> None:
    """Write the figure to each path, in the format of its suffix, then clear it.

    All files are rendered under temporary names before the first is renamed: a failure leaves neither a
    partial file nor some of the files.

    Parameters
    ----------
    figure : Figure
        Empty afterwards.
    *paths : path-like
        Ending in .pdf, .png (200 dots per inch) or .svg.

    Raises
    ------
    InputError
        A suffix is none of these.
    """
    paths = [Path(path) for path in paths]
    for path in paths:
        if path.suffix.lower() not in METADATA:
            raise InputError(f"{path}: a figure is written as .pdf, .png or .svg, not as '{path.suffix}'")
    try:
        with in_style(), contextlib.ExitStack() as stack:
            fit_fonts(figure)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # the layout is made: one for all formats
            for path in paths:
                suffix = path.suffix.lower()
                partial = stack.enter_context(whole(path))
                figure.savefig(partial, format=suffix[1:], metadata=METADATA[suffix])
    finally:
        figure.clear()


def fit_fonts(figure: Figure) -> None:
    """Give every text of a figure fonts for all its letters; what no installed font has is shown by its code.

    The figure is complete, but not drawn yet. Spaces in a row stay apart where text is text, as in SVG. A warning
    names the scripts that have no font.
    """
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    for axis in axes:
        axis.get_ticklabels(which="both")  # has them made
    texts = figure.findobj(Text)
    missing = {text: _missing(text) for text in texts}
    families, without = _fonts_for(frozenset().union(*missing.values()))
    shown = {ord(letter): _shown(letter) for letter in without}
    for text in texts:
        if missing[text]:
            first, *rest = text.get_fontfamily()
            text.set_fontfamily([first, *families, *rest])
        text.set_text(_rewritten(text.get_text(), shown))
    for axis in axes:
        _rewrite_labels(axis, shown)
    for script in sorted({_script(letter) for letter in without}):
        log.warning(
            "fonts: no installed font has letters of some names (script: %s), which are drawn as their codes "
            "(\\u...); install one, for example Noto Sans %s, and delete the figures to have them drawn again",
            script,
            script,
        )


def _missing(text: Text) -> set[str]:
    """Letters of a text that its first font lacks."""
    letters = {*text.get_text()} - {"\n"}
    codes = _codes(font_manager.findfont(text.get_fontproperties()))
    return {letter for letter in letters if ord(letter) not in codes}


@functools.cache
def _codes(font: font_manager.FontPath) -> frozenset[int]:
    return frozenset(FT2Font(font.path, face_index=font.face_index).get_charmap())


@functools.cache
def _fonts_for(letters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Families of installed fonts that together have most of the letters, and the letters that none has."""
    families, left = [], {ord(letter) for letter in letters}
    found = {name: codes & left for name, codes in _installed()} if left else {}
    while best := max(found.items(), key=lambda font: len(font[1] & left), default=None):
        if not best[1] & left:
            break
        families.append(best[0])
        left -= best[1]
    return families, frozenset(map(chr, left))


def _installed() -> Iterable[tuple[str, frozenset[int]]]:
    """Families and codes of upright fonts but those that come with matplotlib, which are for formulas."""
    manager = font_manager.fontManager
    # The list that matplotlib keeps knows nothing of fonts that were installed later.
    for path in {*font_manager.findSystemFonts()} - {entry.fname for entry in manager.ttflist}:
        try:
            manager.addfont(path)
        except (RuntimeError, OSError):  # damaged, or of a kind that FreeType does not read
            continue
    upright = [entry for entry in manager.ttflist if entry.style == "normal" and 300 <= entry.weight <= 500]
    for entry in sorted(upright, key=lambda entry: (entry.name, entry.fname)):
        if not entry.fname.startswith(matplotlib.get_data_path()):
            yield entry.name, _codes(font_manager.FontPath(entry.fname, entry.index))


def _rewrite_labels(axis: Axis, shown: dict[int, str]) -> None:
    """Labels of ticks, which the axis writes anew each time they are drawn."""
    formatter = axis.get_major_formatter()
    write = formatter.format_ticks
    formatter.format_ticks = lambda values: [_rewritten(label, shown) for label in write(values)]


def _shown(letter: str) -> str:
    """A code that prints; nothing for what is never seen, as marks of direction."""
    return "" if unicodedata.category(letter) == "Cf" else ascii(letter)[1:-1]


def _rewritten(text: str, shown: dict[int, str]) -> str:
    return re.sub(" (?= )", "\N{NO-BREAK SPACE}", text.translate(shown))


def _script(letter: str) -> str:
    """``Devanagari``; what is no letter counts as a symbol."""
    name = unicodedata.name(letter, "").partition(" ")[0]
    if name in _CJK:
        return "CJK"
    return name.title() if unicodedata.category(letter)[0] in "LM" and name else "Symbols"
