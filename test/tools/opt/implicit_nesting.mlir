// RUN: terrace-opt --convert-torch-to-linalg --dump-pass-pipeline %s 2>&1 >/dev/null | FileCheck %s
// RUN: not terrace-opt --pass-pipeline='convert-torch-to-linalg' %s 2>&1 | FileCheck %s --check-prefix=STRICT

// A bare flag nests under the op that the pass runs on; a pipeline says so itself, as in mlir-opt.
// CHECK: builtin.module(func.func(convert-torch-to-linalg))
// STRICT: restricted to 'func.func'
func.func @f(%x: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
  return %x : !torch.vtensor<[2],f32>
}
