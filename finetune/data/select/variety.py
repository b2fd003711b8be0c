"""Keep at most so many solutions per question: those that differ most, by their programs.

Greedy: the shortest first, then again and again the one whose nearest among the chosen is farthest away; of equally
far ones the shorter. The distance is one minus the Jaccard similarity of groups of three program tokens (names of
variables don't count), of words where there is no program. Not of syntax trees: model-written code need not parse.
"""

from collections.abc import Sequence

import numpy as np

from finetune.data.select.attempts import Attempt
from finetune.data.select.duplicates import SHINGLE
from finetune.data.select.reasons import Fault, Faults, Reason
from finetune.data.select.shingles import Hashes, groups, hashed, jaccard, solution_pieces
from mumath_agent.transcript import Kind


def surplus(attempts: Sequence[Attempt], *, per_question: int) -> Faults:
    """Find the attempts that aren't among the `per_question` most different of their question."""
    questions: dict[str, list[int]] = {}
    for position, attempt in enumerate(attempts):
        questions.setdefault(attempt.question, []).append(position)
    faults: Faults = {}
    for positions in questions.values():
        if len(positions) > per_question:
            chosen = _most_different([attempts[position] for position in positions], per_question)
            left = [position for number, position in enumerate(positions) if number not in chosen]
            faults |= dict.fromkeys(left, Fault(reason=Reason.SURPLUS))
    return faults


def _most_different(attempts: Sequence[Attempt], count: int) -> set[int]:
    """Return the positions of `count` attempts. Ties are broken by length, then text, never by the order."""
    sets = [_programs(attempt) for attempt in attempts]
    order = sorted(
        range(len(attempts)), key=lambda number: (len(attempts[number].text), attempts[number].text)
    )
    chosen = order[:1]
    distance = {number: 1 - jaccard(sets[number], sets[chosen[0]]) for number in order[1:]}
    while len(chosen) < count:
        farthest = max(distance, key=distance.__getitem__)  # the first of them: the shortest
        chosen.append(farthest)
        del distance[farthest]
        for number in distance:
            distance[number] = min(distance[number], 1 - jaccard(sets[number], sets[farthest]))
    return set(chosen)


def _programs(attempt: Attempt) -> Hashes:
    segments = attempt.segments
    code = [segment for segment in segments if segment.kind is Kind.CODE]
    return np.unique(groups(hashed(solution_pieces(code or segments)), SHINGLE))
