"""`hierseg benchmark`: what it counts and compares, on a clock that tests turn by hand."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hierseg_jax.commands.benchmark_command import numbers_of_threads
from hierseg_jax.runtime.benchmark import ROUNDS, STAGES, Times, describe_times, time_files
from hierseg_jax.runtime.benchmark_table import format_benchmark
from hierseg_jax.runtime.onnx_weights import count_weights
from hierseg_jax.runtime.segmentation import Segmentation
from hierseg_jax.system.errors import HiersegError
from tests.runs import run
from tests.test_runtime import deploy_file

FRAME = np.zeros((4, 6, 3), np.uint8)


def times(*rounds):
    """Of runs whose stages take 1, x and 2 milliseconds."""
    return Times(
        tuple(
            tuple(dict(zip(STAGES, (0.001, x / 1e3, 0.002), strict=True)) for x in runs)
            for runs in rounds
        )
    )


def test_files_take_turns_and_none_waits_open_while_another_runs():
    now, opened, live = [0.0], [], []

    class Opened:
        def __init__(self, file, threads):
            self.key = str(file), threads
            self.seconds = (1.0 if file == Path("slow") else 0.5) / threads
            live.append(self.key)
            opened.append(self.key)

        def __call__(self, frame_bgr, *, bgr):
            assert live == [self.key]
            now[0] += self.seconds
            spent = dict(zip(STAGES, (0.0, self.seconds, 0.0), strict=True))
            return Segmentation({}, None, None, spent)

        def __del__(self):
            live.remove(self.key)

    files = [Path("fast"), Path("slow")]
    found = time_files(files, [1, 2], FRAME, 60.0, Opened, lambda: now[0])
    turn = [("fast", 1), ("fast", 2), ("slow", 1), ("slow", 2)]
    back = [("slow", 1), ("slow", 2), ("fast", 1), ("fast", 2)]
    assert opened == [*turn, *back, *turn, *back, *turn]
    assert len(found[files[0], 1].rounds) == ROUNDS
    # 60 s for 5 rounds and two numbers of threads: 6 s each.
    assert [len(runs) for runs in found[files[1], 1].rounds] == [6] * ROUNDS
    assert [len(runs) for runs in found[files[0], 2].rounds] == [24] * ROUNDS
    assert found[files[1], 1].ratio(found[files[0], 1], *STAGES) == 2.0


def test_percentiles_are_over_all_pictures_and_ratios_within_rounds():
    mine = times([10, 10, 10], [30, 30, 90])
    found = describe_times(mine, times([5, 5, 5], [15, 15, 15]))
    assert found["network_ms"]["p50"] == pytest.approx(20)
    assert found["end_to_end_ms"]["p50"] == pytest.approx(23)
    assert found["network_ms"]["p99"] == pytest.approx(87)
    assert found["preprocess_ms"]["p90"] == pytest.approx(1)
    assert found["fps"] == pytest.approx(1000 / 23)
    assert found["network_ratio"] == pytest.approx(2)  # though the machine slowed down in between
    assert found["runs"] == 6


def test_threads_are_numbers_and_no_more_than_cores_unless_asked_for():
    assert numbers_of_threads(["1", "2", "all"], 8) == [1, 2, 8]
    assert numbers_of_threads(["1", "2", "all"], 2) == [1, 2]
    assert numbers_of_threads(["1", "2", "all"], 1) == [1]
    assert numbers_of_threads(["4"], 2) == [4]
    for wrong in (["0"], ["x"], [""], ["1.5"], ["-1"], ["99999"]):
        with pytest.raises(HiersegError, match="numbers from 1, or all"):
            numbers_of_threads(wrong, 2)


def test_numbers_are_counted_as_the_package_onnx_counts_them(tmp_path):
    file = Path(deploy_file(tmp_path / "a.onnx"))
    graph = onnx.load(file).graph
    tensors = [*graph.initializer]
    tensors += [a.t for node in graph.node for a in node.attribute if a.HasField("t")]
    arrays = map(numpy_helper.to_array, tensors)
    expected = sum(array.size for array in arrays if array.dtype != np.int64)
    assert expected > 20
    assert count_weights(file) == expected
    file.write_bytes(file.read_bytes()[:100])
    assert count_weights(file) is None


def test_a_machine_that_was_busy_is_named():
    file = {
        "file": "a/one.onnx", "contract": "deploy", "precision": None, "input": [192, 160],
        "bytes": 3_450_000, "weights": None, "memory_bytes": None, "provider": "cpu",
        "threads": {"1": describe_times(times([10]), times([10]))},
    }  # fmt: skip
    machine = {"processor": "P", "cores": 4, "onnxruntime": "1", "providers": ["CPU"], "load": 0.1}
    result = {"machine": machine, "frame": [480, 640], "picture": None, "files": [file]}
    quiet = format_benchmark(result)
    assert "one.onnx    deploy          -  192x160  3.5 MB        -       -" in quiet
    assert "note:" not in quiet
    assert "x network" not in quiet
    result["machine"]["load"] = 3.5
    result["files"] = [file, {**file, "file": "b/one.onnx"}]
    busy = format_benchmark(result)
    assert "load 3.5 on 4 cores" in busy
    assert "x network" in busy
    assert "b/one.onnx" in busy  # two of one name keep their folders


def test_the_command_measures_without_jax(tmp_path):
    file, out = deploy_file(tmp_path / "a.onnx"), tmp_path / "speed.json"
    script = (
        "import sys\nfrom hierseg_jax.commands.benchmark_command import main\n"
        f"sys.argv = ['hierseg benchmark', '{file}', '--seconds=0', '--threads=1', "
        f"'--provider=cpu', '--json={out}']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('heavy:', {'jax', 'flax', 'optax', 'orbax', 'grain', 'onnx'} & set(sys.modules))"
    )
    done = run([sys.executable, "-c", script])
    assert "heavy: set()" in done.stdout, done.stdout + done.stderr
    result = json.loads(out.read_text())
    (told,) = result["files"]
    assert (told["contract"], told["input"], told["provider"]) == ("deploy, plain", [8, 16], "cpu")
    assert told["weights"] == count_weights(Path(file))
    numbers = told["threads"]["1"]
    assert numbers["runs"] == 3 * ROUNDS
    assert numbers["network_ratio"] == 1
    assert f"\nWritten to {out}\nNext: hierseg predict --model={file} " in done.stdout


@pytest.mark.slow
def test_mistakes_end_in_one_sentence(tmp_path):
    file = deploy_file(tmp_path / "a.onnx")
    (tmp_path / "there.json").write_text("{}")
    cases = [
        ((file, file), "named twice"),
        ((tmp_path,), "is a folder; give an .onnx file"),
        ((file, f"--json={tmp_path / 'there.json'}"), "exists; give another --json"),
        ((file, "--frame=1,2,3"), "--frame is '1,2,3'; give one side or height,width"),
        ((file, "--threads=none"), "give numbers from 1, or all"),
    ]
    for arguments, sentence in cases:
        command = [sys.executable, "-m", "hierseg_jax.commands.hierseg", "benchmark"]
        done = run([*command, *map(str, arguments)])
        assert done.returncode == 1
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
