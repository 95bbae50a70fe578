"""The directions in which sets of peaks are sought: what is done to the peaks, and which way expression is to go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Direction:
    """One direction.

    Attributes
    ----------
    value : {0, 1}
        What a perturbed peak is set to: 0 closed, 1 open.
    sign : {-1, 1}
        Of the change of expression that is sought.
    """

    value: int
    sign: int


# Members of a set that silences are activators, and members of one that derepresses are silencers.
DIRECTIONS = {"silence": Direction(0, -1), "derepress": Direction(0, 1), "activate": Direction(1, 1)}
# What a search may be asked for, and the directions in which it then looks; a set has one of them.
SOUGHT = {"change": ("silence", "derepress"), **{name: (name,) for name in DIRECTIONS}}
