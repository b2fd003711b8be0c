"""Check the grader: against labelled pairs, against gold answers, and on finished runs."""
