"""File names for names that are data.

Gene and cell-type names may hold any character ("CD8+ T", "L2/3", "HLA-DQB1"). Tables keep the true
name; paths use :func:`escape`, which is injective, so two names never share a file.
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

from grids.io.errors import InputError, listing

MAX_LENGTH = 80
# Tables and BED files are made of lines and tabs; no name may hold them, nor other control characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def escape(name: str) -> str:
    """A file name for any name: unsafe bytes as ``=HH``, long names cut and closed with a hash.

    >>> escape("L2/3"), escape("CD8+ T"), escape("..")
    ('L2=2F3', 'CD8+=20T', '=2E.')
    """
    name = str(name)
    escaped = quote(name, safe="+", errors="surrogatepass").replace("~", "%7E").replace("%", "=")
    if escaped[:1] in (".", "-", ""):
        escaped = f"={ord(escaped[0]):02X}{escaped[1:]}" if escaped else "="
    if len(escaped) > MAX_LENGTH:
        utf8 = name.encode("utf-8", "surrogatepass")  # YAML lets halves of surrogate pairs through
        escaped = f"{escaped[: MAX_LENGTH - 18]}=_{hashlib.sha256(utf8).hexdigest()[:16]}"
    return escaped


def unescape(name: str) -> str:
    """The name behind a file's, for a label: of a long name, only what its file's name holds.

    >>> unescape("L2=2F3"), unescape("CD8+=20T")
    ('L2/3', 'CD8+ T')
    """
    pattern = r"(?:=[0-9A-F]{2})+"
    return re.sub(pattern, lambda m: bytes.fromhex(m.group().replace("=", "")).decode(errors="replace"), name)


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse names that no line of a table can hold: empty ones and those with tabs, line breaks or the like.

    Raises
    ------
    InputError
        Begins with `where`: which names of which file.
    """
    odd = [name for name in names if not name or _CONTROL.search(name)]
    if odd:
        raise InputError(
            f"{where}: {len(odd)} are empty or hold a tab, line break or control character "
            f"({listing(map(ascii, odd), 3)}); rename them"
        )
