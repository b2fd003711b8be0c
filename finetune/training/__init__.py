"""From training rows to weights, and what to look at before and after."""
