"""The one exception that user mistakes raise, and what its messages are made of."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

LONGEST = 2_000  # characters of a message
MOST_LINES = 10


class InputError(ValueError):
    """Bad input, one line for each thing that is wrong: what was found, where, what was expected, what to do.

    Scripts print the lines without a traceback and exit with status 1. What a user's file puts into a message
    cannot steer a terminal or fill it: characters that do not print are shown by their codes, and the middle of a
    very long message is left out, as are lines after the first :data:`MOST_LINES`.

    Attributes
    ----------
    messages : list of str
        All lines.
    told : list of str
        Those to print.
    """

    def __init__(self, *messages: str):
        self.messages = list(dict.fromkeys(map(_printable, messages)))
        n_more = len(self.messages) - MOST_LINES
        self.told = self.messages[:MOST_LINES] + [f"and {n_more} more"] * (n_more > 0)
        super().__init__("\n".join(self.told))

    @property
    def report(self) -> str:
        """What the terminal shows: ``error: ...`` for each line."""
        return "\n".join(f"error: {line}" for line in self.told)


def _printable(message: str) -> str:
    text = " ".join(str(message).split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def check_all(checks: Iterable[Callable[[], object]]) -> list:
    """What each check returns; one InputError with the lines of all those that raise one."""
    results, messages = [], []
    for check in checks:
        try:
            results.append(check())
        except InputError as error:
            messages += error.messages
    if messages:
        raise InputError(*messages)
    return results


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'GAD1'?"`` for the closest known name, or an empty string."""
    known = [str(k) for k in known]
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    return f" Did you mean '{folded[close[0]]}'?" if close else ""


def listing(names: Iterable[str], limit: int = 12) -> str:
    """The first names, comma-separated, with the number left out: ``a, b, c and 5 more``."""
    names = [str(n) for n in names]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def short_path(path: str | Path) -> str:
    """A path as a user would write it: relative when it lies below the working directory."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
