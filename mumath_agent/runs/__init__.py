"""Keep, read and replay what attempts leave behind: result files, notebooks, executed programs."""
