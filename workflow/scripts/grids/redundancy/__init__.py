"""Do the members of a set back each other up? Statistics of a set's subsets, with their uncertainty."""
