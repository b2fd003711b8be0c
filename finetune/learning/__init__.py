"""Learn from one's own attempts: rounds of rejection sampling, group-relative policy optimisation, preferences."""
