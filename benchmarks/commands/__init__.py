"""The commands of `python -m benchmarks`, a module a room; `benchmarks.cli` names them. Parse, call, print."""
