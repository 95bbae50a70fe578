"""What a figure holds: for tests of figures."""


def artists(figure, label):
    """All artists of a figure with this label."""
    return figure.findobj(lambda artist: artist.get_label() == f"_{label}")


def texts(figure):
    """All texts of a figure, those of ticks and legends included."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
