"""Which attempts become training rows, and why the others don't.

    RunRecords ─ attempts ─▶ form ─▶ answers ─▶ sieve: length, format, contamination, duplicates, variety ─▶ Solutions
                             one attempt  a question's                                   all of them

Every attempt is kept or has exactly one reason. What is kept depends on what is in the files, not on the order of
their lines. Making attempts is `synthesize`'s business, ids and labels are `encode`'s.
"""
