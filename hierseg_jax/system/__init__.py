"""What a program needs of the machine: errors as sentences, the command line, writing files whole,
fonts, signals, the compiler, freed memory; devices, which alone of these need JAX.

May import: no other room.
"""
