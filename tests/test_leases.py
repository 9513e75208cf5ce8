"""Locks of a bucket whose holder is on a machine of the same name, or of another version."""

import os
import socket
import subprocess
import sys

import pytest

from hierseg_jax.system import leases


def ended_process():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.skipif(not leases._machine(), reason="the system does not tell machines apart")
def test_a_holder_has_ended_where_its_number_is_of_this_machine_alone():
    host, number = socket.gethostname(), ended_process()
    here, elsewhere = leases._machine(), leases._machine()[::-1]
    assert leases._has_ended(f"process {number} on {host} ({here}, 0)")
    assert not leases._has_ended(f"process {os.getpid()} on {host} ({here}, 0)")
    assert not leases._has_ended(f"process {number} on {host} ({elsewhere}, 0)")


@pytest.mark.parametrize("name", ["", "process 1", "process 1 on a (0)", "process x on a (, 0)"])
def test_a_holder_of_another_kind_may_be_at_work(name):
    assert not leases._has_ended(name)
