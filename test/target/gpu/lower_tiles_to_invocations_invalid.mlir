// RUN: terrace-opt --lower-tiles-to-invocations --split-input-file --verify-diagnostics %s

// Invocations have no steps of their own.
func.func private @atom(%m: memref<4x4xi8>, %w: memref<1x4x4xi8>, %n: index) attributes {loop.kernel} {
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %g, %g) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xi8>, index, index) -> vector<4x4xi8>
    %1 = "loop.load_tile"(%w, %g, %g, %g) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x4x4xi8>, index, index, index) -> vector<1x4x4xi8>
    %zero = arith.constant dense<0> : vector<4x4xi32>
    // expected-error @+1 {{wants the atom 'int8_dot', which invocations of a GPU do not have}}
    %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_dot", unsigned_lhs} : (vector<4x4xi8>, vector<1x4x4xi8>, vector<4x4xi32>) -> vector<4x4xi32>
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Barriers are for local memory.
func.func private @read_back(%n: index) attributes {loop.kernel} {
  %m = memref.alloc() : memref<4xf32>
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    // expected-error @+1 {{reads a result of its kernel, which other invocations may not have written yet}}
    %0 = "loop.load_tile"(%m, %g) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
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

// -----

// What invocations exchange a tile by counts, too.
module attributes {terrace.target = {gpu = {local_bytes = 4096 : i64}, name = "vulkan"}} {
  // expected-error @+1 {{@exchange needs 4356 bytes of local memory; a workgroup has 4096}}
  func.func private @exchange(%m: memref<33x33xf32>, %o: memref<33x33xf32>, %n: index) attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    "loop.parallel"(%n) ({
    ^bb0(%g: index):
      %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
        operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<33x33xf32>, index, index) -> vector<33x33xf32>
      %1 = "loop.contract_tile"(%0, %0, %0) : (vector<33x33xf32>, vector<33x33xf32>, vector<33x33xf32>) -> vector<33x33xf32>
      %2 = "loop.contract_tile"(%1, %0, %0) : (vector<33x33xf32>, vector<33x33xf32>, vector<33x33xf32>) -> vector<33x33xf32>
      "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
        operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<33x33xf32>, memref<33x33xf32>, index, index) -> ()
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    return
  }
}

// -----

// Targets whose kernels multiply by no encoded weights have them decoded when they are compiled.
func.func private @packed(%a: memref<1x16x4xi8>, %o: memref<8x16xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"() ({
    %0 = "loop.load_tile"(%a, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
    // expected-error @+1 {{'loop.unpack_tile' op has no lowering to}}
    %1 = "loop.unpack_tile"(%0) {bits = 4 : i64} : (vector<1x16x4xi8>) -> vector<8x16xf32>
    "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<8x16xf32>, memref<8x16xf32>, index, index) -> ()
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = []} : () -> ()
  return
}
