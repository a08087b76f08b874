// RUN: terrace-opt --keep-denormals --split-input-file %s | FileCheck %s

// A kernel clears both bits before it loads, and gives them back after its loops.
// CHECK-LABEL: func.func private @halve
// CHECK-NEXT:    %[[OLD:.*]] = llvm.inline_asm has_side_effects "{{.*}}stmxcsr (%rsp){{.*}}andl $$0xffff7fbf{{.*}}", "=r,{{.*}}~{memory}{{.*}}" : () -> i32
// CHECK:         loop.parallel
// CHECK:         llvm.inline_asm has_side_effects "{{.*}}ldmxcsr{{.*}}", "r,{{.*}}~{memory}{{.*}}" %[[OLD]] : (i32) -> ()
// CHECK-NEXT:    return
func.func private @halve(%x: tensor<8xf32>) -> tensor<8xf32> attributes {loop.kernel} {
  %0 = "loop.to_buffer"(%x) : (tensor<8xf32>) -> memref<8xf32>
  %1 = memref.alloc() : memref<8xf32>
  %c1 = arith.constant 1 : index
  "loop.parallel"(%c1) ({
  ^bb0(%i: index):
    %c0 = arith.constant 0 : index
    %half = arith.constant dense<0.5> : vector<8xf32>
    %2 = vector.load %0[%c0] : memref<8xf32>, vector<8xf32>
    %3 = arith.mulf %2, %half : vector<8xf32>
    vector.store %3, %1[%c0] : memref<8xf32>, vector<8xf32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %4 = "loop.to_tensor"(%1) : (memref<8xf32>) -> tensor<8xf32>
  return %4 : tensor<8xf32>
}

// Moves that IREE makes are no computation.
func.func @main(%x: tensor<2x4xf32>) -> tensor<4x2xf32> {
  %0 = tensor.empty() : tensor<4x2xf32>
  %1 = linalg.transpose ins(%x : tensor<2x4xf32>) outs(%0 : tensor<4x2xf32>) permutation = [1, 0]
  return %1 : tensor<4x2xf32>
}

// -----

// IREE's own computation has to be reached by a flag of iree-compile, which reaches all kernels.
// CHECK-LABEL: func.func private @nothing
// CHECK-NOT:     llvm.inline_asm
func.func private @nothing(%x: tensor<8xf32>) -> tensor<8xf32> attributes {loop.kernel} {
  return %x : tensor<8xf32>
}

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = tensor.empty() : tensor<8xf32>
  %1 = linalg.exp ins(%x : tensor<8xf32>) outs(%0 : tensor<8xf32>) -> tensor<8xf32>
  return %1 : tensor<8xf32>
}
