"""Tells people that they wait for a compiler."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.monitoring

LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
"""JAX's event right before a program is compiled, or read where it is kept."""
END = "/jax/core/compile/backend_compile_duration"
PATIENCE = 2.0
"""Seconds that nothing is said for; programs that are kept are read in less."""


@contextlib.contextmanager
def told_of_compilation(say: Callable[[str], None], patience: float = PATIENCE) -> Iterator[None]:
    """Says once that a program is being compiled, and where it will be kept.

    Args:
      say: is given the sentence, maybe in another thread.
      patience: seconds after which a program is said to be compiled.
    """
    waiting: list[threading.Timer] = []
    said = threading.Event()

    def speak() -> None:
        if not said.is_set():
            said.set()
            with contextlib.suppress(BrokenPipeError):  # the program's own output finds out
                say(sentence(_kept_in()))

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        del duration_secs
        if event == LOWERED and not said.is_set():
            timer = threading.Timer(patience, speak)
            timer.daemon = True
            waiting.append(timer)
            timer.start()
        elif event == END and waiting:
            waiting.pop().cancel()

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        for timer in waiting:
            timer.cancel()


def sentence(folder: str | None) -> str:
    """What is going on, and where it is kept; `folder` is None where it is not."""
    kept = f"It is kept in {folder} for the next time." if folder else "It is not kept."
    return f"Compiling the network for this machine, which may take a minute or two. {kept}"


def _kept_in() -> str | None:
    config: Any = jax.config
    return config.jax_compilation_cache_dir if config.jax_enable_compilation_cache else None
