"""Imports without the garbage collector."""

import gc
import importlib

import pytest

from hierseg_jax.system.imports import without_garbage_collection


@pytest.fixture(autouse=True)
def frozen():
    yield
    gc.enable()
    gc.freeze()  # as the suite has it


def test_garbage_is_collected_again_after_imports_that_fail():
    gc.unfreeze()
    with pytest.raises(ImportError), without_garbage_collection():
        importlib.import_module("nothing_of_this_name")
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with without_garbage_collection():
        assert not gc.isenabled()
    assert not gc.isenabled()
