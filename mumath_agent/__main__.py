"""`python -m mumath_agent` is `mumath-agent`."""

from mumath_agent.cli import main

if __name__ == "__main__":
    main()
