"""Report on runs and compare them.

attempts   how each attempt counts
metrics    accuracy, pass@k, maj@k, with intervals        paired    the difference between two runs
figures    all figures of one run                         compare   which of two runs is better
second_opinion   which verdicts another grader disputes
layout     figures as tables, for people                  compare_layout
viewer     a page to read every attempt in
"""
