"""The two levels of evidence: within a cell type, and across all of them.

Within a type, a gene's window has to tell something beyond the cells' state. Across types the state is what is
followed, and the window has to tell more than windows elsewhere do.
"""

# What stands for a cell type where cells of all types are looked at together.
ALL_TYPES = "all types"
WITHIN_TYPE, ACROSS_TYPES = LEVELS = ("within_type", "across_types")


def level_of(cell_type: str) -> str:
    """The level of evidence that results named by this cell type are of: one of :data:`LEVELS`."""
    return ACROSS_TYPES if cell_type == ALL_TYPES else WITHIN_TYPE
