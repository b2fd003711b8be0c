"""Train models on rows, and check the data before and the model after."""
