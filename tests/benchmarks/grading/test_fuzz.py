"""Many made pairs with a seed that nobody has seen; slow, because thousands of them go to the workers."""

import json

import pytest

from benchmarks.grading.fuzz import KINDS
from tests.programs import call

pytestmark = [pytest.mark.slow, pytest.mark.worker]


def test_thousands_of_made_pairs_with_a_fresh_seed() -> None:
    ended = call("benchmarks", "grade-pairs", "--fuzz", "5000", "--json")
    found = json.loads(ended.stdout)
    assert found["n"] == 5000 and set(found["kinds"]) == set(KINDS)
    assert sum(counts["false_equal"] for counts in found["kinds"].values()) == 0, (
        ended.stderr,
        found["differing"],
    )
    assert found["agreement"] >= 0.995, (ended.stderr, found["differing"])
