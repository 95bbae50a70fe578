"""File names for names that are data.

Gene and cell-type names may hold any character ("CD8+ T", "L2/3", "HLA-DQB1"). Tables keep the true
name; paths use :func:`escape`, which is injective, so two names never share a file.
"""

import hashlib
import re

MAX_LENGTH = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9+_.-]")


def escape(name: str) -> str:
    """A file name for any name: unsafe bytes as ``=HH``, long names cut and closed with a hash.

    >>> escape("L2/3"), escape("CD8+ T"), escape("..")
    ('L2=2F3', 'CD8+=20T', '=2E.')
    """
    name = str(name)
    escaped = _UNSAFE.sub(lambda m: "".join(f"={byte:02X}" for byte in m.group().encode()), name)
    if escaped[:1] in (".", "-", ""):
        escaped = f"={ord(escaped[0]):02X}{escaped[1:]}" if escaped else "="
    if len(escaped) > MAX_LENGTH:
        escaped = f"{escaped[: MAX_LENGTH - 18]}=_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return escaped
