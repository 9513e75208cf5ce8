"""One persistent compilation cache for the suite: most of its time is XLA's."""

import gc
import importlib.metadata
import importlib.util
import os
import pathlib
import signal

import hypothesis
import pytest

ROOT = pathlib.Path(__file__).parents[1]
GOLDEN = pathlib.Path(__file__).parent / "golden"

# Compiling takes longest, of programs that run for milliseconds. These are unoptimized, in one
# piece where 32 would be compiled side by side, and by XLA's older emitters as long as it has
# them: it ends at flags that it does not know. What is held against golden numbers is compiled as
# users' programs are.
FULL = {"xla_backend_optimization_level": 3, "xla_cpu_parallel_codegen_split_count": 32}
QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if importlib.util.find_spec("jaxlib") and importlib.metadata.version("jaxlib").startswith("0.10."):
    FULL |= {"xla_cpu_use_fusion_emitters": True}
    QUICKLY += " --xla_cpu_use_fusion_emitters=false"


def pytest_configure(config: pytest.Config) -> None:
    # Whoever starts the suite in a shell's background has SIGINT ignored, for its children too.
    signal.signal(signal.SIGINT, _interrupt)
    if "--xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = xla_flags(QUICKLY)
    # Golden numbers are float32's, which accelerators round otherwise unless they are told not to.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # Machines are shared: how long an example takes says nothing.
    hypothesis.settings.register_profile("suite", deadline=None)
    hypothesis.settings.load_profile("suite")
    # In the environment, so that processes the tests start share it.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
    os.environ.setdefault("HIERSEG_JAX_CACHE", str(ROOT / ".pytest_cache" / "hierseg_jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    if importlib.util.find_spec("jax"):  # the small installation has none
        import jax

        jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
        jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _interrupt(*_: object) -> None:
    # Where Python's own handler stands asyncio puts one of its own in its place, for every
    # checkpoint, and the signal module prints all that was read on the way.
    raise KeyboardInterrupt


def pytest_collection_finish() -> None:
    # As scripts do: what imports have left is not looked through again and again.
    gc.collect()
    gc.freeze()
    # Tests leave much and little of it in cycles: of 700 objects each it took a twentieth of the
    # suite's time to look for these.
    gc.set_threshold(20_000)


def pytest_unconfigure() -> None:
    # pytest then looks for garbage that would warn, five times, in all that is left.
    gc.freeze()


def flags_of_users() -> str:
    """The value of `XLA_FLAGS` for a process that compiles as users' programs are compiled."""
    return os.environ.get("XLA_FLAGS", "").replace(QUICKLY, "").strip()


def xla_flags(*flags: str) -> str:
    """The value of `XLA_FLAGS` with some more."""
    return " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()
