"""The scale benchmark: what every stage costs, and how the cost grows with the size of the data and of the question."""
