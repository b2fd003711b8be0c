"""Augmented questions: from seeds, by perspectives, with a teacher or by rules.

    seeds ─┬─ asks ─▶ prompt ─▶ teacher ─▶ strict reading of the reply ─┬─▶ Questions with seed_id and augmentation
           └─ program of the rationale ─▶ rules: exact, no model ───────┘

`perspectives` names them and makes the records. With a teacher: `asks` (what is asked and which answer is known),
`prompts` (the files), `replies` (what counts as a reply), `teacher` (the stage). By rules: `programs` (a rationale's
arithmetic), `backward`, `wording`, `relations` and `own` (one kind of change each), `rules` (the stage). Solutions of
the new questions are for `synthesize`, doubtful ones for `select`.
"""
