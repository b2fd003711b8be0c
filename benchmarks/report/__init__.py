"""What runs amount to: figures, intervals, paired comparisons and a viewer."""
