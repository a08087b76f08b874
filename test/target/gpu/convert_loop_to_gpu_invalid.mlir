// RUN: terrace-opt --convert-loop-to-gpu --split-input-file --verify-diagnostics %s

// expected-error@+1 {{is not lowered for a GPU; run lower-tiles-to-invocations first}}
func.func private @tiles(%a: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %c1 = arith.constant 1 : index
  %in = "loop.to_buffer"(%a) : (tensor<4xf32>) -> memref<4xf32>
  %out = memref.alloc() : memref<4xf32>
  "loop.parallel"(%c1) ({
  ^bb0(%part: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %0 = "loop.to_tensor"(%out) : (memref<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error@+1 {{has memory of type memref<?xf32>; a binary of its own needs static shapes}}
func.func private @dynamic(%a: tensor<?xf32>, %n: index) -> tensor<?xf32>
    attributes {loop.kernel, loop.workgroup_size = 32 : i64} {
  %in = "loop.to_buffer"(%a) : (tensor<?xf32>) -> memref<?xf32>
  %out = memref.alloc(%n) : memref<?xf32>
  "loop.parallel"(%n) ({
  ^bb0(%part: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %0 = "loop.to_tensor"(%out) : (memref<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
