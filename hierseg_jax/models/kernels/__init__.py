"""Convolutions for CPUs in C++, compiled on the user's machine and called by XLA."""
