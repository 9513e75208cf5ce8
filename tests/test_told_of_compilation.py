"""Whoever waits for a compiler is told so, once."""

import threading

import jax
import jax.monitoring
import pytest

from hierseg_jax.system.devices.compiling import END, LOWERED, sentence, told_of_compilation


@pytest.fixture
def kept_nowhere():
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    yield
    jax.config.update("jax_enable_compilation_cache", before)


def test_a_long_compilation_is_told_once(kept_nowhere):
    told, spoken = [], threading.Event()

    def say(text):
        told.append(text)
        spoken.set()

    with told_of_compilation(say, patience=0.0):
        for _ in range(3):
            jax.monitoring.record_event_duration_secs(LOWERED, 1.0)
            assert spoken.wait(60)
            jax.monitoring.record_event_duration_secs(END, 1.0)
    jax.monitoring.record_event_duration_secs(LOWERED, 1.0)
    assert told == [sentence(None)]


def test_a_reader_that_has_gone_is_no_concern_of_the_one_who_tells(kept_nowhere, monkeypatch):
    failed, spoken = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", failed.append)

    def say(text):
        spoken.set()
        raise BrokenPipeError

    with told_of_compilation(say, patience=0.0):
        jax.monitoring.record_event_duration_secs(LOWERED, 1.0)
        assert spoken.wait(60)
        timer = next((of for of in threading.enumerate() if isinstance(of, threading.Timer)), None)
        if timer is not None:
            timer.join()
    assert failed == []


def test_what_is_soon_over_is_not_told():
    told = []
    with told_of_compilation(told.append, patience=60.0):
        jax.monitoring.record_event_duration_secs(LOWERED, 1.0)
        jax.monitoring.record_event_duration_secs(END, 1.0)
    assert told == []


def test_jax_tells_of_a_program_before_and_after_it_is_compiled(kept_nowhere):
    """Where nothing is kept, too."""
    events = []

    def listen(event, duration_secs, **_):
        if event in (LOWERED, END):
            events.append(event)

    number = jax.numpy.ones(3)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.jit(lambda x: 2 * x + 1)(number)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert events == [LOWERED, END]
