"""The commands, each a file with its flags and what it prints: flags in, sentences out.

`hierseg NAME` and the scripts of launch/ are their doors. May import everything; `predict` starts
without JAX.
"""
