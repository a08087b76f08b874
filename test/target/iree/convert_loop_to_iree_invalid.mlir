// RUN: terrace-opt --convert-loop-to-iree --split-input-file --verify-diagnostics %s

// expected-error @+1 {{must have exactly one loop.parallel, has 0}}
func.func private @sequential(%x: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// The number of workgroups must be known where the kernel is launched.
func.func private @bounds(%x: tensor<4xf32>, %n: index) -> tensor<4xf32> attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  // expected-error @+1 {{bounds must be computed from constants and sizes of the arguments}}
  "loop.parallel"(%n) ({
  ^bb0(%i: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
