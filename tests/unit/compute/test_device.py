"""Device, precision and threads are chosen once, and the fingerprint says what was chosen."""

import platform
import subprocess
import sys

import pytest
import torch

from pipeline.compute.device import open_runtime
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import MachineError
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT


def params(**changes):
    values = {"seed": 1, "threads": 1, "device": "cpu", "precision": "fp32", "compile": False}
    return RuntimeParams(**values | changes)


CONVOLVE = """
import hashlib, torch
from pipeline.compute.device import start_runtime
runtime = start_runtime(torch.device("cpu"), precision="bf16", threads=1)
noise = torch.Generator().manual_seed(1)
x, w = torch.randn(4, 16, 32, 32, generator=noise), torch.randn(32, 16, 3, 3, generator=noise)
x = x.to(torch.bfloat16, memory_format=torch.channels_last)
y = torch.nn.functional.conv2d(x, w.to(torch.bfloat16)).float().contiguous()
print(hashlib.sha256(y.numpy().tobytes()).hexdigest(), runtime.fingerprint())
"""


@pytest.mark.slow
def test_other_kernels_below_torch_are_another_fingerprint():
    """Equal fingerprints promise equal bits, also where the environment holds a library back."""

    def told(**limits):
        return subprocess.run(
            [sys.executable, "-c", CONVOLVE],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | limits,
        ).stdout.split(maxsplit=1)

    (bits, free), (other_bits, held) = told(), told(ONEDNN_MAX_CPU_ISA="AVX2")
    assert "limits" not in free
    assert "'limits': 'ONEDNN_MAX_CPU_ISA=AVX2'" in held
    assert bits == other_bits or free != held


def test_the_fingerprint_names_what_decides_the_bits():
    prints = [
        open_runtime(params(threads=threads, precision=precision)).fingerprint()
        for threads in (1, 2)
        for precision in ("fp32", "bf16")
    ]
    assert len({tuple(sorted(each.items())) for each in prints}) == 4
    assert prints[0]["torch"] == torch.__version__
    assert prints[0]["device"] == "cpu"
    open_runtime(params())
    assert torch.get_num_threads() == 1


def test_the_fingerprint_tells_processors_of_one_name_apart():
    """By what they compute: here kernels of another kind stand in for another processor."""
    code = "import torch; from pipeline.compute.bits import cpu_bits; torch.set_num_threads(1)\n"
    code += "with torch.inference_mode(): print(cpu_bits(1, low=True))"

    def told(**limits):
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | limits
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, cwd=ROOT, text=True, env=environment)

    assert told() == told()
    assert told(ATEN_CPU_CAPABILITY="default") != told()


def test_bf16_runs_in_bf16_and_fp32_does_not():
    weights = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with open_runtime(params(precision=precision)).autocast():
            assert (weights @ weights).dtype == dtype


def test_auto_chooses_something_that_is_there():
    runtime = open_runtime(params(device="auto", precision="auto"))
    assert runtime.precision in ("fp32", "bf16")
    torch.zeros(1, device=runtime.device)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_absent_device_is_one_line_with_exit_code_4(device):
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if present[device]:
        open_runtime(params(device=device))
        return
    with pytest.raises(MachineError, match=f"runtime.device: .* got '{device}' .set `runtime"):
        open_runtime(params(device=device))


ALLOCATE = """
import resource, torch
from pipeline.compute.device import open_runtime
from pipeline.compute.params import RuntimeParams
if {opened}:
    open_runtime(RuntimeParams(seed=1, threads=1, device="cpu", precision="fp32", compile=False))
for _ in range(3):
    torch.empty(64_000_000, dtype=torch.uint8).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.empty(64_000_000, dtype=torch.uint8).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="how freed memory is kept is known for glibc alone"
)
def test_freed_memory_is_used_again_without_a_way_through_the_kernel():
    faults = {
        opened: int(
            subprocess.run(
                [sys.executable, "-c", ALLOCATE.format(opened=opened)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for opened in (False, True)
    }
    # where small blocks come to lie is chance: now and then one more large block is taken, and kept
    assert 10 * faults[True] < faults[False]


def test_new_tensors_are_not_filled_first():
    open_runtime(params())
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory is False
