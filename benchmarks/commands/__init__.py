"""The commands of `python -m benchmarks`: they parse, call and print. `benchmarks.cli` names them."""
