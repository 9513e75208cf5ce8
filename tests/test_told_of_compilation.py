"""Whoever waits for a compiler is told so, once."""

import jax
import jax.monitoring

from hierseg_jax.system.devices.compiling import END, REQUEST, sentence, told_of_compilation


def test_a_long_compilation_is_told_once():
    told = []
    with told_of_compilation(told.append, patience=0.0):
        for _ in range(3):
            jax.monitoring.record_event(REQUEST)
            while not told:
                pass
            jax.monitoring.record_event_duration_secs(END, 1.0)
    jax.monitoring.record_event(REQUEST)
    assert told == [sentence(jax.config.jax_compilation_cache_dir)]


def test_what_is_soon_over_is_not_told():
    told = []
    with told_of_compilation(told.append, patience=60.0):
        jax.monitoring.record_event(REQUEST)
        jax.monitoring.record_event_duration_secs(END, 1.0)
    assert told == []
