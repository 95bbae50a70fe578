"""GRIDS: global redundant-enhancer discovery by learnable subset perturbations.

Modules import one way, in the order in which data flows: multiome, intervals, surrogates,
perturbation, effects, figures. Importing :mod:`grids` itself imports nothing heavy.
"""

__version__ = "0.2.0"
