"""Word problems with exact answers, written by templates and read from GSM8K."""
