"""Talk to models behind an OpenAI-compatible server."""
