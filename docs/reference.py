"""Make the reference of all modules from their docstrings: `python docs/reference.py FOLDER`."""

import sys
from pathlib import Path

import pdoc

import mumath_agent
from mumath_agent import langchain

HERE = Path(mumath_agent.__file__).parent


def modules() -> list[str]:
    """Return the names of the package, its modules and its packages; pdoc finds what is in those."""
    files = [*HERE.glob("*.py"), *HERE.glob("*/__init__.py")]
    names = {path.parent.name if path.stem == "__init__" else path.stem for path in files}
    return ["mumath_agent", *(f"mumath_agent.{name}" for name in sorted(names - {HERE.name, "__main__"}))]


def main() -> None:
    """Write the pages."""
    for package in (mumath_agent, langchain):  # pdoc sees no name that is only imported on first use
        vars(package).update({name: getattr(package, name) for name in package.__all__})
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1]))


if __name__ == "__main__":
    main()
