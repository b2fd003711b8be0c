"""The commands of `python -m finetune`, a module a room; `finetune.cli` names them. Parse, call, print."""
