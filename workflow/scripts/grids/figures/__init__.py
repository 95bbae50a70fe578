"""One file per figure, each a function: tables in, matplotlib Figure out.

``style`` holds what all figures share, ``tasks`` what those of tasks share, ``scales`` what colours stand for, and
``save`` writes a figure to files. `cell_types` are all those of the run, so that colours agree between figures. Of
more than `max_tasks` tasks a note counts the rest; the set of a task is its largest one.
Nothing here imports pyplot or changes matplotlib's global state.
"""
