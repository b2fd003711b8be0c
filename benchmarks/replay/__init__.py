"""Published solutions of other people as a conformance suite: their programs, their completions, their answers."""
