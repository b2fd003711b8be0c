"""Measure our own speed and size, as ratios to something else in the same run: numbers from a shared machine vary.

`command` has the commands, `python -m benchmarks perf ...`; `table` prints the rows. Nothing here measures a model.
"""
