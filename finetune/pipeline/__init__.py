"""Make a model from nothing to a measured folder: a plan, its steps, and the list of calls."""
