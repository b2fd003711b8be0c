"""Test the paper's claims at small scale: same questions, equal compute, several seeds, held-out schemas.

design ─▶ material (rows by format and by source) ─▶ running (train, solve) ─▶ findings ─▶ page (docs/ablations.md)
"""
