"""The stages called one after the other: everything in one command, and the embedded model."""
