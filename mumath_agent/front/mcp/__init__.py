"""The agent and its Python session as tools of the Model Context Protocol."""
