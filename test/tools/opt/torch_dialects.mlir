// RUN: terrace-opt %s | FileCheck %s

// The dialects of torch-mlir parse without torch.
// CHECK-LABEL: func.func @relu
// CHECK:         torch_c.from_builtin_tensor
// CHECK:         torch.aten.relu
func.func @relu(%x: tensor<2xf32>) -> !torch.vtensor<[2],f32> {
  %0 = torch_c.from_builtin_tensor %x : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %1 = torch.aten.relu %0 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  return %1 : !torch.vtensor<[2],f32>
}
