"""From seed questions to selected training rows; nothing here imports torch."""
