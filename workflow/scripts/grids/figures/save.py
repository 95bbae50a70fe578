"""Write a figure to files: whole files only, the same bytes for the same figure."""

import contextlib
import os
from pathlib import Path

from matplotlib.figure import Figure

from grids.figures.fonts import fit_fonts
from grids.figures.style import in_style
from grids.io.errors import InputError
from grids.io.writing import whole

# Entries that would carry the time of writing are switched off.
METADATA = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}


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
