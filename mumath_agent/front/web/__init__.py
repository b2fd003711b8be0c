"""A page to ask questions in: attempts side by side as they run, and the answer their votes choose.

    browser ◀─ stream ─ Following ◀─ Desk ─▶ history
       └── ask, stop, decide ──────────▲

`app.py` has the routes, `desk.py` the questions under way, `solving.py` how one is solved, `choices.py` the models,
`static/` the page itself. What draws an attempt is `runs.page`'s, as in the viewer of benchmark runs.
"""
