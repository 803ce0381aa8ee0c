"""Say whether onnxruntime and torch really compute on a GPU here; exit with 1 where not.

`--installed` only looks at what is installed, for a machine without a GPU such as the one
that builds the image. Without it a session is opened and asked: the list of available
providers names CUDA even where it cannot run.
"""

import importlib.metadata
import sys

import onnxruntime


def installed() -> list[str]:
    """Return what is wrong with the installation."""
    names = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    problems = []
    if "onnxruntime" in names:
        problems.append("onnxruntime is installed and hides onnxruntime-gpu: uninstall it")
    if "onnxruntime-gpu" not in names:
        problems.append("onnxruntime-gpu is not installed")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        problems.append("onnxruntime has no CUDA provider: install onnxruntime-gpu last")
    return problems


def active() -> list[str]:
    """Return what keeps a session and torch from the GPU."""
    import torch
    from onnx import TensorProto, helper

    value = {kind: helper.make_tensor_value_info(kind, TensorProto.FLOAT, [1]) for kind in "xy"}
    graph = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["y"])], "check", [value["x"]], [value["y"]]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnxruntime.preload_dlls()
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=wanted)
    problems = []
    if "CUDAExecutionProvider" not in session.get_providers():
        problems.append(f"onnxruntime: a session runs on {session.get_providers()}, not on CUDA")
    if not torch.cuda.is_available():
        problems.append(f"torch {torch.__version__} finds no CUDA device")
    return problems


if __name__ == "__main__":
    found = installed() + ([] if "--installed" in sys.argv else active())
    print("\n".join(found) or "onnxruntime-gpu: installed as it should be")
    sys.exit(1 if found else 0)
