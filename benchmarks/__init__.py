"""Measures the library against recorded and known results. Run from a checkout: `python -m benchmarks`.

Imports `mumath_agent`; nothing imports it.
"""
