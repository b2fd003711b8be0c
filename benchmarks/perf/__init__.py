"""Measurements of speed. They print what they find and judge nothing: numbers from a shared machine vary."""
