"""What tensorstore's threads report too late does not stand beside the sentence."""

import sys
from types import SimpleNamespace

from hierseg_jax.system.command_line import _pass_over_late_reports
from tests.runs import run


def test_a_report_to_a_loop_that_a_failed_checkpoint_has_ended_is_not_printed(tmp_path):
    """Of a run and of a conversion, forced where it used to be a matter of luck."""
    done = run([sys.executable, "-m", "tests.late_callbacks", tmp_path])
    sentence, loops = done.stdout.splitlines()
    assert "converted could not be written: File too large." in sentence
    assert int(loops.removeprefix("closed before a report: ")) >= 2
    assert done.returncode == 1
    assert done.stderr.startswith("error: A checkpoint could not be written to "), done.stderr
    assert "checkpoints: File too large. Checkpoints written before are intact" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_other_errors_that_nobody_can_catch_are_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    _pass_over_late_reports()
    late = RuntimeError("Event loop is closed")
    others = [
        SimpleNamespace(exc_value=late, object=test_other_errors_that_nobody_can_catch_are_shown),
        SimpleNamespace(exc_value=RuntimeError("Something else"), object=None),
        SimpleNamespace(exc_value=OSError("Event loop is closed"), object=None),
        SimpleNamespace(exc_value=None, object=None),
    ]
    for unraisable in (SimpleNamespace(exc_value=late, object=None), *others):
        sys.unraisablehook(unraisable)
    assert shown == others
