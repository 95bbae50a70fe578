"""Names and order of the methods in tables and figures."""

import re
from collections.abc import Iterable

REFERENCE = "grids"
NAMES = {
    "grids": "GRIDS",
    "greedy": "greedy",
    "subset_sampler": "subset sampler",
    "knock_out": "knock-out scan",
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "lime": "LIME",
    "fimap": "FIMAP",
    "cxplain": "CXPlain",
    "sage": "SAGE",
    "correlation": "|correlation|",
    "distance": "distance to TSS",
    "random": "random",
    "random_matched": "matched random",
}
_CXPLAIN = re.compile(r"cxplain_(\d+)")


def method_name(method: str) -> str:
    """A method's name as tables and figures write it; an unknown one is written as it is.

    >>> method_name("cxplain_16"), method_name("sage"), method_name("my_method")
    ('CXPlain, w = 16', 'SAGE', 'my_method')
    """
    window = _CXPLAIN.fullmatch(method)
    return f"CXPlain, w = {window[1]}" if window else NAMES.get(method, method)


def in_order(methods: Iterable[str]) -> list[str]:
    """Each method once: the known ones in the order of :data:`NAMES`, then others in the order they come.

    >>> in_order(["my_method", "cxplain_16", "sage", "cxplain_4", "grids"])
    ['grids', 'cxplain_4', 'cxplain_16', 'sage', 'my_method']
    """
    known = list(NAMES)

    def place(method: str) -> tuple[int, int]:
        window = _CXPLAIN.fullmatch(method)
        if window:
            return known.index("cxplain"), int(window[1])
        return (known.index(method), 0) if method in NAMES else (len(known), 0)

    return sorted(dict.fromkeys(methods), key=place)
