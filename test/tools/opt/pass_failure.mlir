// RUN: not terrace-opt --pass-pipeline='builtin.module(cse,torch-verify-linalg-on-tensors-backend-contract)' %s 2>&1 | FileCheck %s
// RUN: terrace-opt --cse --torch-verify-linalg-on-tensors-backend-contract --verify-diagnostics %s | FileCheck %s --check-prefix=OUT --allow-empty

// The op and its place, the failing pass, and the pipeline that shows it again; no output.
// CHECK: pass_failure.mlir:12:1: error: failed to legalize operation 'func.func'
// CHECK: note: pass 'torch-verify-linalg-on-tensors-backend-contract' failed; --pass-pipeline='builtin.module(cse,torch-verify-linalg-on-tensors-backend-contract)' reproduces it
// CHECK-NOT: module {
// OUT-NOT: module {

// expected-error @unknown {{does not conform to the linalg-on-tensors backend contract}}
// expected-error @+1 {{failed to legalize operation 'func.func'}}
func.func @f(%x: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
  return %x : !torch.vtensor<[2],f32>
}
