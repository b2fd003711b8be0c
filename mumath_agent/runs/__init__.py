"""What attempts leave behind: result files, notebooks, and running their programs again."""
