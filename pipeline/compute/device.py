"""Which device and precision, how many threads, how deterministic: decided here only."""

import ctypes
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from pipeline.compute.bits import cpu_bits
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.seeds import derive

Precision = Literal["fp32", "bf16"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
_INT_MAX = 2**31 - 1

_LIMITS = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
)
"""Settings by which the libraries below torch choose other kernels, and torch does not say so.

oneDNN held to AVX2 gives other bits in bf16 on a processor with AVX512."""


@dataclass(frozen=True)
class Runtime:
    """The device and precision that a stage computes with."""

    device: torch.device
    precision: Precision
    threads: int
    compiled: bool = False
    """Whether training compiles its model; it changes the last bits."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the backbone runs."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def fingerprint(self) -> dict[str, str | int]:
        """Name what decides the bits of a result: builds, processor, threads, precision.

        On the CPU, also what a few operations give there.
        """
        facts: dict[str, str | int] = {
            "torch": str(torch.__version__),
            "device": _device_name(self.device),
            "cpu": _cpu_capability(),
            "threads": self.threads,
            "precision": self.precision,
        }
        limits = " ".join(f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name))
        facts |= {"limits": limits} if limits else {}
        if self.device.type == "cpu":
            facts["bits"] = cpu_bits(self.threads, low=self.precision == "bf16")
        return facts | ({"compiled": "true"} if self.compiled else {})


def open_runtime(params: RuntimeParams) -> Runtime:
    """Choose the device and precision, and set torch's threads and deterministic mode.

    Raises:
        MachineError: The device or precision asked for is not there.
    """
    device = choose_device(params.device)
    precision = _choose_precision(params.precision, device)
    if params.compile and device.type == "cpu" and not _has_compiler():
        raise MachineError(
            "params.yaml",
            "needs a C++ compiler on the PATH, and there is none",
            field="runtime.compile",
            got=params.compile,
            remedy="set it to false, or install one",
        )
    runtime = start_runtime(device, precision=precision, threads=params.threads)
    return replace(runtime, compiled=params.compile)


def start_runtime(device: torch.device, *, precision: Precision, threads: int) -> Runtime:
    """Set torch's threads and deterministic mode, and how memory is kept, in this process."""
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "cuda")
    # else every new tensor is filled with nan first: a fifth of a training step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Runtime(device, precision, threads)


def _keep_freed_memory() -> None:
    """Make glibc keep large blocks that were freed; other C libraries are left as they are.

    By default it returns each block to the kernel. The kernel hands the memory out again page by
    page, zeroed: this took over half of the time of a forward pass (EfficientNet-Lite0, batches of
    32).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _INT_MAX)


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def torch_generator(device: torch.device | str, seed: int, *names: str | int) -> torch.Generator:
    """Return a torch generator for a named stream."""
    return torch.Generator(device).manual_seed(derive(seed, *names))


def check_ranks_here(device: torch.device, ranks: int) -> None:
    """Check that so many processes can train together on this machine.

    Raises:
        ParamsError: There are fewer GPUs, or the device has no way to exchange data.
    """
    if ranks == 1 or device.type == "cpu":
        return
    most = torch.cuda.device_count() if device.type == "cuda" else 1
    if ranks > most:
        raise ParamsError(
            "params.yaml",
            f"must be at most {most}, the devices `{device.type}` of this machine",
            field="machine.ranks",
            got=ranks,
            remedy="lower it, or set `runtime.device: cpu`",
        )


def choose_device(name: str) -> torch.device:
    """Return the device of a name, `auto` for the best there is.

    Raises:
        MachineError: It is not there.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if has["cuda"] else "mps" if has["mps"] else "cpu")
    if not has[name]:
        raise MachineError(
            "params.yaml",
            "this machine has no such device",
            field="runtime.device",
            got=name,
            remedy="set `runtime.device: auto`",
        )
    return torch.device(name)


def _choose_precision(name: str, device: torch.device) -> Precision:
    fast_bf16 = {
        "cpu": "avx512_bf16" in _cpu_capability() or "amx_bf16" in _cpu_capability(),
        "cuda": device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False),
        "mps": False,
    }[device.type]
    if name == "auto":
        return "bf16" if fast_bf16 else "fp32"
    if name == "bf16" and device.type != "cpu" and not fast_bf16:
        raise MachineError(
            "params.yaml",
            f"{device.type} does not compute in it",
            field="runtime.precision",
            got=name,
            remedy="set `runtime.precision: auto`",
        )
    return "bf16" if name == "bf16" else "fp32"


def _cpu_capability() -> str:
    probes = (
        ("avx512_bf16", torch.cpu._is_avx512_bf16_supported),
        ("amx_bf16", torch.cpu._is_amx_tile_supported),
    )
    flags = [name for name, probe in probes if probe()]
    return "+".join([torch.backends.cpu.get_cpu_capability(), *flags])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
