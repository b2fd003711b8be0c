"""Parse, call, print: the commands of `python -m finetune`, which `finetune.cli` names.

What needs torch is imported inside its command, so that the others work, and answer --help, without it.
"""
