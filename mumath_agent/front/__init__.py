"""Servers in front of the agent, for people and programs that don't write Python.

    mumath_agent.front.api   an OpenAI-compatible server: the agent as a model
    mumath_agent.front.mcp   the agent and its Python session as tools of the Model Context Protocol

They share the service that answers questions (`service.py`), the live Python sessions (`sessions.py`), the places for
those who are answered at a time (`places.py`), what guards an address (`security.py`) and the listening
(`listening.py`).
"""
