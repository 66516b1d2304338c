"""Feature extraction: the network as the stages run it, against plain forward passes and runtimes.

Conditions: EfficientNet-Lite0, 224 px, batches of 32 gray noise pictures, 2 threads, each variant
in turn, the best of seven rounds. `stages` is what `features`, `evaluate` and the registered model
run: bytes in, pooled features out, batch normalization folded. `eager` is timm in channels-last
order on ready float tensors, without normalization and pooling. ONNX Runtime and OpenVINO get the
network exported by torch, with its pooling, on ready float tensors; OpenVINO in bfloat16 too, which
ONNX Runtime has not on the CPU. The answers of every variant are compared with those of `eager`.

    python -m bench.features
    .rootstock/sets/peers/bin/python -m bench.features     # with both runtimes, see bench/sets
"""

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from pipeline.compute.device import open_runtime
from pipeline.compute.params import RuntimeParams
from pipeline.model.network import Trunk
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.shelf.normalization import Normalization

ARCHITECTURE = "tf_efficientnet_lite0"
BATCH, SIZE_PX, ROUNDS, THREADS = 32, 224, 7, 2
PAUSE_S = 0.3
"""Between variants: threads of one runtime spin for a while after their work is done."""

Variants = dict[str, Callable[[], Any]]


def variants() -> Variants:
    """Return what is timed, by name; each call gives features, [32, D] or [32, D, h, w]."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    shape = (BATCH, 3, SIZE_PX, SIZE_PX)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    net = timm.create_model(ARCHITECTURE, num_classes=0).eval()
    trunk = Trunk(
        build_backbone(ARCHITECTURE),
        normalization=Normalization("pretrained", 1 / 255, (0.5,) * 3, (0.5,) * 3),
        pooling="mean",
    )
    trunk.backbone.model.load_state_dict(net.state_dict())
    floats = trunk.prepare(images)
    found = _by_runtimes(net, floats)
    eager = net.to(memory_format=torch.channels_last)
    last = floats.contiguous(memory_format=torch.channels_last)
    trunk.fold()
    for precision in ("fp32", "bf16"):
        params = RuntimeParams(
            seed=1, threads=THREADS, device="cpu", precision=precision, compile=False
        )
        runtime = open_runtime(params)

        def run(call: Callable[[], Any], runtime: Any = runtime) -> Any:
            with torch.inference_mode(), runtime.autocast():
                return call().float().numpy()

        found[f"eager {precision}"] = lambda run=run: run(lambda: eager(last))
        found[f"stages {precision}"] = lambda run=run: run(lambda: trunk.pooled(images))
    return found


def _by_runtimes(net: nn.Module, floats: torch.Tensor) -> Variants:
    """Return the runtimes that are installed; say which are not."""
    wanted = ("onnx", "onnxscript", "onnxruntime", "openvino")
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        print(f"without ONNX Runtime and OpenVINO: {', '.join(missing)} not installed")
        return {}
    import onnxruntime
    import openvino

    found: Variants = {}
    values = floats.contiguous().numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        torch.onnx.export(
            net,
            (floats,),
            str(path),
            input_names=["x"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        found["onnxruntime fp32"] = lambda: session.run(None, {"x": values})[0]
        core = openvino.Core()
        model = core.read_model(path)
        for precision, hint in (("fp32", "f32"), ("bf16", "bf16")):
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": THREADS,
                    "INFERENCE_PRECISION_HINT": hint,
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
            found[f"openvino {precision}"] = lambda compiled=compiled: compiled(values)[0]
            many = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": THREADS,
                    "INFERENCE_PRECISION_HINT": hint,
                    "PERFORMANCE_HINT": "THROUGHPUT",
                },
            )
            found[f"openvino-streams {precision}"] = lambda many=many: _streams(many, values)
    return found


def _streams(compiled: Any, values: np.ndarray) -> np.ndarray:
    """Run a batch as two halves of requests in flight, which is how OpenVINO gives throughput."""
    import openvino

    queue = openvino.AsyncInferQueue(compiled, THREADS)
    outputs: list[np.ndarray] = []
    queue.set_callback(lambda request, _: outputs.append(request.get_output_tensor().data.copy()))
    for _ in range(THREADS):
        queue.start_async(values)
    queue.wait_all()
    return outputs[0]


def main() -> None:
    """Print pictures a second of each variant, and how far its answers are from `eager fp32`."""
    best: dict[str, float] = {}
    calls = variants()
    wanted = calls["eager fp32"]()
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            call()
            if number:
                batches = THREADS if "streams" in name else 1
                rate = batches * BATCH / (time.perf_counter() - start)
                best[name] = max(best.get(name, 0.0), rate)
    others = [rate for name, rate in best.items() if not name.startswith("stages")]
    print(f"{ARCHITECTURE}, {SIZE_PX} px, batch {BATCH}, best of {ROUNDS}")
    for name, rate in sorted(best.items(), key=lambda each: each[1]):
        gap = float(np.abs(calls[name]() - wanted).mean() / np.abs(wanted).mean())
        print(
            f"{name:22} {rate:7.1f} pictures/s   {rate / max(others):.2f} of the fastest other"
            f"   differs by {gap:.1%}"
        )


if __name__ == "__main__":
    main()
