"""How much memory this process may use, as the operating system tells it."""

import ctypes
import os
import pathlib
import sys


def machine_memory() -> int:
    """Bytes: the machine's, or its container's if less; 0 where the system does not say."""
    memory = _of_windows() if sys.platform == "win32" else _of_posix()
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        file = pathlib.Path("/sys/fs/cgroup") / name
        if file.is_file():
            limit = file.read_text(encoding="utf-8").strip()
            memory = min(memory, int(limit)) if limit.isdecimal() else memory
    return memory


def _of_posix() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 6),
    )


def _of_windows() -> int:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  # mypy knows no windll here
    return status.total if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0
