// RUN: terrace-opt --lower-tiles-to-invocations --split-input-file --verify-diagnostics %s

// Products of integers have no fused multiply-add.
func.func private @integers(%m: memref<4x4xi32>, %n: index) attributes {loop.kernel} {
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %g, %g) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xi32>, index, index) -> vector<4x4xi32>
    %zero = arith.constant dense<0> : vector<4x4xi32>
    // expected-error @+1 {{'loop.contract_tile' op has no lowering for i32}}
    %1 = "loop.contract_tile"(%0, %0, %zero) : (vector<4x4xi32>, vector<4x4xi32>, vector<4x4xi32>) -> vector<4x4xi32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// The result of a contraction is spread in another way than a contraction reads its operands.
func.func private @computed(%m: memref<4x4xf32>, %n: index) attributes {loop.kernel} {
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %g, %g) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
    %zero = arith.constant dense<0.0> : vector<4x4xf32>
    %1 = "loop.contract_tile"(%0, %0, %zero) : (vector<4x4xf32>, vector<4x4xf32>, vector<4x4xf32>) -> vector<4x4xf32>
    // expected-error @+1 {{wants a tile spread over invocations otherwise than it was computed: it must be of loop.load_tile}}
    %2 = "loop.contract_tile"(%0, %1, %zero) : (vector<4x4xf32>, vector<4x4xf32>, vector<4x4xf32>) -> vector<4x4xf32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// A reduction ends in one number for the workgroup.
func.func private @rows(%m: memref<4x4xf32>, %n: index) attributes {loop.kernel} {
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %g, %g) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
    // expected-error @+1 {{'loop.reduce_tile' op has no lowering to invocations of a GPU for a tile of several rows}}
    %1 = "loop.reduce_tile"(%0) {kind = "sum"} : (vector<4x4xf32>) -> vector<4x1xf32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Ops on tiles are elementwise, or the loop dialect's.
func.func private @shuffle(%m: memref<4xf32>, %n: index) attributes {loop.kernel} {
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %g) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
    // expected-error @+1 {{has no lowering to invocations of a GPU}}
    %1 = vector.shuffle %0, %0 [3, 2, 1, 0] : vector<4xf32>, vector<4xf32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Only workgroups have invocations.
func.func private @outside(%m: memref<4xf32>, %n: index) attributes {loop.kernel} {
  // expected-error @+1 {{'loop.load_tile' op must stand in the kernel's loop.parallel, whose bodies workgroups run}}
  %0 = "loop.load_tile"(%m, %n) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
  return
}

// -----

// More memory than a workgroup has: the device would refuse the shader.
module attributes {terrace.target = {gpu = {local_bytes = 4096 : i64}, name = "vulkan"}} {
  // expected-error @+1 {{@kernel needs 4112 bytes of local memory; a workgroup has 4096}}
  func.func private @kernel(%n: index) attributes {loop.kernel} {
    "loop.parallel"(%n) ({
    ^bb0(%i: index):
      %0 = "loop.alloc"() : () -> memref<1024xf32, "local">
      %1 = "loop.alloc"() : () -> memref<4xf32, "local">
      "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    return
  }
}
