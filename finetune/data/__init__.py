"""Make training data, from seed questions to selected rows; nothing here imports torch."""
