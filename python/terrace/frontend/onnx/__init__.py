"""ONNX models: read as modules of PyTorch's, which the rest of the frontend exports and imports."""

from terrace.frontend.onnx import ops
from terrace.frontend.onnx.export import export_onnx
from terrace.frontend.onnx.module import OnnxModule

__all__ = ["OnnxModule", "export_onnx", "ops"]
