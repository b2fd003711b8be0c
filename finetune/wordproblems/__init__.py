"""Word problems with exact answers, told from templates and read from GSM8K."""
