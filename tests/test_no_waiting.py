"""Within an epoch nothing is copied to or from the device but what is asked for, in time."""

import contextlib

import jax
import numpy as np
import pytest
from jax._src.array import ArrayImpl

from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.train import loop
from tests.runs import train_here


class Watch:
    """Forbids implicit transfers while training steps are done, and remembers explicit ones."""

    def __init__(self, monkeypatch):
        self.events, self._explicit, self._inside = [], False, False
        train_epoch, get, put = loop.train_epoch, jax.device_get, Parallel.put_batch
        value = ArrayImpl._value

        def guarded(*arguments):
            self._inside = True
            with jax.transfer_guard("disallow"):
                result = train_epoch(*arguments)
            self._inside = False
            return result

        def device_get(tree):
            self.events.append("read")
            with self.explicitly():
                return get(tree)

        def put_batch(parallel, *given):
            self.events.append("put")
            return put(parallel, *given)

        def read(array):
            # JAX's own guard says nothing of reads on a CPU, whose memory is the host's.
            if self._inside and not self._explicit:
                raise AssertionError("a number was read from the device, and its step waited for")
            return value.fget(array)

        monkeypatch.setattr(loop, "train_epoch", guarded)
        monkeypatch.setattr(jax, "device_get", device_get)
        monkeypatch.setattr(Parallel, "put_batch", put_batch)
        monkeypatch.setattr(ArrayImpl, "_value", property(read))
        for name in ("array", "asarray"):
            # NumPy looks at the memory of a CPU's arrays without asking them.
            monkeypatch.setattr(np, name, self._checked(getattr(np, name)))

    def _checked(self, convert):
        def checked(given, *rest, **told):
            if isinstance(given, ArrayImpl) and self._inside and not self._explicit:
                raise AssertionError("a number was read from the device, and its step waited for")
            return convert(given, *rest, **told)

        return checked

    @contextlib.contextmanager
    def explicitly(self):
        self._explicit = True
        yield
        self._explicit = False


def test_an_epoch_reads_late_and_puts_early(monkeypatch, tmp_path):
    epochs = []
    watch = Watch(monkeypatch)
    guarded = loop.train_epoch

    def train_epoch(*arguments):
        watch.events.clear()
        result = guarded(*arguments)
        epochs.append([*watch.events])
        return result

    monkeypatch.setattr(loop, "train_epoch", train_epoch)
    train_here(tmp_path / "run", epochs=2)
    # Four steps: two more are with the device when the loss of one is waited for.
    assert epochs == [["put"] * 3 + ["read", "put"] + ["read"] * 3] * 2


def test_the_watch_notices_batches_that_are_not_put_first(monkeypatch, tmp_path):
    monkeypatch.setattr(Parallel, "put_batch", lambda self, batch, stop=0: batch)
    Watch(monkeypatch)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        train_here(tmp_path / "run", epochs=1)


@pytest.mark.parametrize("read", [float, lambda number: np.asarray(number)])
def test_the_watch_notices_numbers_that_are_waited_for(monkeypatch, tmp_path, read):
    def start_reading(metrics):
        read(metrics["loss"])

    monkeypatch.setattr(loop, "start_reading", start_reading)
    Watch(monkeypatch)
    with pytest.raises(AssertionError, match="a number was read from the device"):
        train_here(tmp_path / "run", epochs=1)
