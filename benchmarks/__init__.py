"""Measure the library against recorded and known results. Run it from a checkout: `python -m benchmarks`.

It imports `mumath_agent`; nothing imports it.
"""
