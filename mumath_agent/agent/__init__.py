"""The agent: the graph, one attempt through it, many attempts."""
