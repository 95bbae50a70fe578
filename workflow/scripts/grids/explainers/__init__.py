"""Rival explainers: each scores every peak of a task, and a set is the top of its scores."""
