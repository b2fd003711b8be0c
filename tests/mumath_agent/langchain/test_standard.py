"""LangChain's own suites for tools."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from mumath_agent.langchain import MuMathTool, PythonKernelTool
from tests.toy import toy_as_default

pytestmark = [pytest.mark.anyio, pytest.mark.kernel]

PYTHON, SOLVE = PythonKernelTool(), MuMathTool()


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    with toy_as_default():
        yield
    PYTHON.close()
    SOLVE.close()


class OfPython:
    tool_invoke_params_example: ClassVar = {"code": "print(6 * 7)"}


class OfSolving:
    tool_invoke_params_example: ClassVar = {
        "question": "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
    }
    init_from_env_params: ClassVar[tuple[dict[str, str], dict[str, str], dict[str, str]]] = (
        {"MUMATH_BASE_URL": "http://host:8000/v1", "MUMATH_MODEL": "m", "MUMATH_API_KEY": "secret"},
        {},
        {"base_url": "http://host:8000/v1", "model": "m", "api_key": "secret"},
    )


class TestPythonUnit(OfPython, ToolsUnitTests):
    tool_constructor = PythonKernelTool


class TestPythonIntegration(OfPython, ToolsIntegrationTests):
    tool_constructor = PYTHON


class TestSolvingUnit(OfSolving, ToolsUnitTests):
    tool_constructor = MuMathTool


class TestSolvingIntegration(OfSolving, ToolsIntegrationTests):
    tool_constructor = SOLVE
