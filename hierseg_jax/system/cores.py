"""How much of the machine this process may use."""

import os


def available_cores() -> int:
    """Cores that this process may run on, fewer than the machine's where it is bound to some."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
