"""Large blocks that XLA frees serve its next step; in processes of their own."""

import os
import subprocess
import sys

import pytest

from hierseg_jax.system.memory import TRIED_JAXLIBS, VARIABLE, decide, keep_large_blocks
from tests.conftest import flags_of_users

START = """
import collections, ctypes, sys, time
import jax, jax.numpy as jnp, numpy as np
from hierseg_jax.system.memory import keep_large_blocks, load_library
MB = 2**20

def count_large_blocks():  # `Counts` of large_blocks.cc
    counts = (ctypes.c_uint64 * 4)()
    load_library().hierseg_count_blocks(counts)
    return collections.namedtuple("Counts", "requests served idle_bytes in_use")(*counts)

def pages():  # of jaxlib, by what may be done with them
    lines = [line.split() for line in open("/proc/self/maps") if "libjax_common.so" in line]
    found = []
    for places, may, *_ in lines:
        begin, end = (int(place, 16) for place in places.split("-"))
        if found and found[-1][1:] == [begin, may]:
            found[-1][1] = end
        else:
            found.append([begin, end, may])
    return [(begin, end, may) for begin, end, may in found]

def settled():  # results are ready a little before their memory is given back
    while count_large_blocks().in_use:
        time.sleep(0.001)
    return count_large_blocks()

before = pages()
kept = keep_large_blocks()

@jax.jit
def step(x):  # with 128 MB of its own in between
    return jnp.outer(jnp.sin(x), x) @ x

x = jnp.arange(5792, dtype=jnp.float32)
jax.block_until_ready(step(x))
"""


def run(script, **environment):
    # Compiled as users' programs are: of so many numbers sines take longer than their compilation.
    given = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags_of_users(), VARIABLE: ""}
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        env=os.environ | given | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or not keep_large_blocks(), reason="needs glibc and a C++ compiler"
)


@needs_compiler
def test_steps_get_the_same_memory_again():
    script = """
first = settled()
for _ in range(10):
    jax.block_until_ready(step(x))
    last = settled()
print(first.requests > 0, last.requests - first.requests, last.served - first.served)
print(last.idle_bytes == first.idle_bytes)
"""
    asked, same = run(script).splitlines()
    began, requests, served = asked.split()
    assert began == "True"
    assert int(requests) >= 10
    assert served == requests
    assert same == "True"


PREPARED = """
from hierseg_jax.system.memory import prepare_block
other = jax.jit(lambda x: jnp.outer(jnp.cos(x), x) @ x)
y = jnp.arange(9000, dtype=jnp.float32)  # 324 MB
other = other.lower(y).compile()
size = other.memory_analysis().temp_size_in_bytes
"""


@needs_compiler
def test_a_block_that_was_made_ready_serves_the_first_request_of_its_size():
    script = """
prepare_block(size)
before = settled()
jax.block_until_ready(other(y))
after = settled()
print(before.idle_bytes >= size >= 4 * 9000**2, after.requests - before.requests > 0)
print(after.served - before.served == after.requests - before.requests)
"""
    assert run(PREPARED + script).split() == ["True", "True", "True"]


@pytest.mark.slow
@needs_compiler
def test_a_block_may_be_taken_and_freed_while_it_is_made_ready():
    script = """
import threading
expected = np.asarray(other(y)), np.asarray(step(x))
for _ in range(4):
    thread = threading.Thread(target=prepare_block, args=(size,))
    thread.start()
    found = np.asarray(other(y)), np.asarray(step(x))
    thread.join()
    assert all(map(np.array_equal, found, expected))
print("equal")
"""
    assert run(PREPARED + script) == "equal"


@needs_compiler
def test_no_block_is_made_ready_where_none_is_kept():
    script = """
prepare_block(size)
print(count_large_blocks().idle_bytes)
"""
    assert run(PREPARED + script, **{VARIABLE: "0"}) == "0"


@needs_compiler
def test_another_program_gets_the_memory_of_the_one_before():
    script = """
@jax.jit
def other(x):
    return jnp.outer(jnp.cos(x), x) @ x

y = jnp.arange(7000, dtype=jnp.float32)  # 196 MB
one, both = settled().idle_bytes, set()
for _ in range(3):
    jax.block_until_ready(other(y))
    both.add(settled().idle_bytes)
    jax.block_until_ready(step(x))
    assert settled().idle_bytes == one
# All of the other one's, and none of the first one's beside it.
print(one >= 4 * 5792**2, len(both), 4 * 7000**2 <= max(both) < 4 * 7000**2 + one)
"""
    assert run(script) == "True 1 True"


@needs_compiler
def test_pages_of_jaxlib_are_protected_as_they_were():
    script = """
print(kept, pages() == before, any("w" not in may for *_, may in before))
"""
    assert run(script) == "True True True"


@needs_compiler
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


@needs_compiler
def test_threads_may_compute_side_by_side():
    script = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    results = list(pool.map(lambda i: np.asarray(step(x + i % 3)), range(24)))
print(all(np.array_equal(r, results[i % 3]) for i, r in enumerate(results)))
"""
    assert run(script) == "True"


@needs_compiler
def test_nothing_is_kept_where_the_variable_forbids_it():
    script = "print(kept, count_large_blocks().requests, pages() == before)"
    assert run(script, **{VARIABLE: "0"}) == "False 0 True"


def test_nothing_is_kept_without_a_compiler(tmp_path):
    assert (
        run("print(kept)", PATH="/nonexistent", CXX="", HIERSEG_JAX_CACHE=str(tmp_path)) == "False"
    )


def test_a_jaxlib_that_it_was_not_tried_with_is_left_alone_and_that_is_said():
    assert decide("", TRIED_JAXLIBS[0]) == (True, "")
    keep, note = decide("", "0.99.0")
    assert not keep
    assert f"not with 0.99.0. {VARIABLE}=1 does it" in note
    for value, wanted in (("0", False), ("no", False), ("1", True)):
        assert decide(value, "0.99.0") == decide(value, TRIED_JAXLIBS[0]) == (wanted, "")
