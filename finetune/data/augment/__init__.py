"""Augment questions: from seeds, by perspectives, with a teacher or by rules.

    seeds ─┬─ asks ─▶ prompt ─▶ teacher ─▶ strict reading of the reply ─┬─▶ Questions with seed_id and augmentation
           └─ program of the rationale ─▶ rules: exact, no model ───────┘

`stage` is the way in; `perspectives` names them and makes the records. With a teacher: `asks` (the request and the
known answer), `prompts` (the files), `replies` (strict reading), `checks` (form), `teacher` (requests). By rules:
`programs` (a rationale's arithmetic), `backward`, `wording`, `relations` and `own` (one kind of change each), `rules`.
`synthesize` solves the new questions, `select` drops doubtful ones.
"""
