// RUN: terrace-opt --convert-loop-to-iree --split-input-file --verify-diagnostics %s

// expected-error @+1 {{must have exactly one loop.parallel, has 0}}
func.func private @sequential() -> tensor<4xf32> attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// The number of workgroups must be known where the kernel is launched.
func.func private @bounds(%n: index) -> tensor<4xf32> attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  // expected-error @+1 {{bounds must be computed from constants and sizes of the arguments}}
  "loop.parallel"(%n) ({
  ^bb0(%i: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// What is read twice, or not at all, is no binding.
// expected-error @+1 {{must read argument 0 by one loop.to_buffer, has []}}
func.func private @unread(%x: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Two results in one memory.
// expected-error @+1 {{must return what loop.to_tensor gives of a memref.alloc or loop.to_buffer for each result}}
func.func private @shared() -> (tensor<4xf32>, tensor<4xf32>) attributes {loop.kernel} {
  %0 = memref.alloc() : memref<4xf32>
  %1 = "loop.to_tensor"(%0) : (memref<4xf32>) -> tensor<4xf32>
  return %1, %1 : tensor<4xf32>, tensor<4xf32>
}
