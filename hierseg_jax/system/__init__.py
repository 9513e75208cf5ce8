"""What a program needs of the machine: errors as sentences, the command line, writing files whole,
fonts, signals, the compiler, freed memory.

May import: no other room.
"""
