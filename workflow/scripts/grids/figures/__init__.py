"""One file per figure, each a function: tables in, matplotlib Figure out.

``style`` holds what the figures share, ``save`` writes a figure to files. Nothing here imports pyplot or
changes matplotlib's global state.
"""
