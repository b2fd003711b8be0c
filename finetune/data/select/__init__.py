"""Select the attempts that become training rows, and say of every other one why not.

    RunRecords ─ attempts ─▶ form ─▶ answers ─▶ sieve: length, format, contamination, duplicates, variety ─▶ Solutions
                             one attempt  a question's                                   all of them

`stage` is the way in. Every attempt is kept or has exactly one reason. The selection depends on the files' content, not
on the order of their lines.
"""
