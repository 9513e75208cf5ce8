"""Where onnxruntime has CUDA and no GPU, a sentence says so, and nothing else is printed."""

import sys

import cv2
import numpy as np
import onnxruntime
import pytest

from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.session import failure_of_cuda
from tests.runs import run
from tests.test_provider import CPU, CUDA, file

__all__ = ["file"]  # a fixture

# Of onnxruntime-gpu 1.31.1 with the libraries of CUDA 13, on a machine without a GPU.
ERROR = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 onnxruntime::CudaCall("
    "ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] CUDA failure 36: API "
    "call is not supported in the installed CUDA driver ; GPU=-1 ; hostname=vm ; file=/onnxruntime"
    "_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355 ; "
    "expr=cudaSetDevice(info_.device_id); \n\n"
)
FAILURE = "CUDA failure 36: API call is not supported in the installed CUDA driver"


def test_of_an_error_of_cuda_stays_what_failed():
    assert failure_of_cuda(ERROR) == FAILURE
    assert failure_of_cuda("cuDNN is\n  not there") == "cuDNN is not there"


def test_an_error_of_cuda_is_told_and_auto_takes_the_cpu(file, monkeypatch):
    session = onnxruntime.InferenceSession

    def start(path, options, providers, **rest):
        if CUDA in providers:
            raise RuntimeError(ERROR)
        return session(path, options, providers=providers, **rest)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    with pytest.raises(ValueError, match=rf"\({FAILURE}\); give --provider=cpu"):
        Segmenter(file, provider="cuda")
    segmenter = Segmenter(file)
    assert segmenter.provider == "cpu"
    assert segmenter.note.endswith(f"({FAILURE}); the network runs on the CPU.")
    file.write_text("no network")
    with pytest.raises(ValueError, match="no ONNX file, or a damaged one"):
        Segmenter(file, provider="cuda")


@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="needs CUDA's build")
def test_the_command_prints_the_sentence_alone(file, tmp_path):
    """With the real library, from which the GPU, if there is one, is hidden."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    flags = [f"--onnx_file={file}", f"--source={tmp_path}/a.png", f"--output={tmp_path}/out"]
    command = [sys.executable, "launch/infer.py", *flags]
    done = run([*command, "--provider=cuda"], CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("error: onnxruntime was built with CUDA but could not start it")
    assert done.stderr.count("\n") == 1, done.stderr
    done = run(command, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 picture, "), done.stdout
    assert "on CPU\nWritten to " in done.stdout
    assert done.stderr.startswith("note: onnxruntime was built with CUDA but could not start it")
    assert done.stderr.count("\n") == 1, done.stderr
