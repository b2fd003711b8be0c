"""Make training data and train models: `python -m finetune`."""
