"""Large blocks that XLA frees serve its next step; in processes of their own."""

import os
import subprocess
import sys

import pytest

from hierseg_jax.memory import keep_large_blocks

START = """
import resource, sys, time
import jax, jax.numpy as jnp, numpy as np
from hierseg_jax.memory import keep_large_blocks
kept = keep_large_blocks() if sys.argv[1] == "keep" else False
MB = 2**20

@jax.jit
def step(x):  # with 128 MB of its own in between
    return jnp.outer(jnp.sin(x), x) @ x

x = jnp.arange(5792, dtype=jnp.float32)
jax.block_until_ready(step(x))
"""


def run(script, argument="keep", **environment):
    return subprocess.run(
        [sys.executable, "-c", START + script, argument],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not keep_large_blocks(), reason="needs glibc and a C++ compiler"
)

FAULTS = """
before = resource.getrusage(resource.RUSAGE_SELF)
for _ in range(10):
    jax.block_until_ready(step(x))
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_minflt - before.ru_minflt, (after.ru_maxrss - before.ru_maxrss) // 1024)
"""


def test_steps_get_the_same_memory_again():
    faults, growth = map(int, run(FAULTS).split())
    plain, _ = map(int, run(FAULTS, "plain").split())
    assert plain > 10 * 120 * 256  # pages of 4 KB
    assert faults < plain / 10
    assert growth < 64


def test_another_program_gets_the_memory_of_the_one_before():
    script = """
@jax.jit
def other(x):
    return jnp.outer(jnp.cos(x), x) @ x

y = jnp.arange(7000, dtype=jnp.float32)  # 196 MB
time.sleep(0.05)
jax.block_until_ready(other(y))
first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(3):
    time.sleep(0.05)  # results are ready a little before their memory is given back
    jax.block_until_ready(step(x))
    time.sleep(0.05)
    jax.block_until_ready(other(y))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) // 1024)
"""
    assert int(run(script)) < 64


def test_arrays_keep_their_content_while_they_live():
    script = """
views, expected = [], []
for i in range(6):
    views.append(np.asarray(jnp.full((5 + i) * MB, i, jnp.float32)))  # may share its memory
    expected.append(float(i))
    if i % 2:
        del views[0], expected[0]
    jax.block_until_ready([step(x), step(x + 1)])
print(all((view == value).all() for view, value in zip(views, expected)))
"""
    assert run(script) == "True"


def test_threads_may_compute_side_by_side():
    script = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    results = list(pool.map(lambda i: np.asarray(step(x + i % 3)), range(24)))
print(all(np.array_equal(r, results[i % 3]) for i, r in enumerate(results)))
"""
    assert run(script) == "True"


def test_nothing_is_kept_without_a_compiler(tmp_path):
    assert (
        run("print(kept)", PATH="/nonexistent", CXX="", HIERSEG_JAX_CACHE=str(tmp_path)) == "False"
    )
