"""Hold the grader against labelled pairs, gold answers and finished runs."""
