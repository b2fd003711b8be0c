"""Shared by all tests: one asynchronous back end, and no place where a test could write outside its own folder."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The kernels' sockets are asyncio's, so trio is no choice."""
    return "asyncio"
