// RUN: terrace-opt --lower-tiles-to-vector --split-input-file --verify-diagnostics %s

// A constant tile is the same number everywhere.
func.func private @constant() attributes {loop.kernel} {
  // expected-error @+1 {{'arith.constant' op is not a splat; a constant tile must be one}}
  %0 = arith.constant dense<[1.0, 2.0]> : vector<2xf32>
  return
}

// -----

// Ops on tiles are elementwise, or the loop dialect's.
func.func private @shuffle(%m: memref<4xf32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
  // expected-error @+1 {{has no lowering to CPU vectors}}
  %1 = vector.shuffle %0, %0 [3, 2, 1, 0] : vector<4xf32>, vector<4xf32>
  return
}

// -----

// A step that no CPU of Terrace has.
func.func private @atom(%a: memref<2x4xi8>, %b: memref<1x16x4xi8>, %i: index) attributes {loop.kernel} {
  %zero = arith.constant dense<0> : vector<2x16xi32>
  %0 = "loop.load_tile"(%a, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x4xi8>, index, index) -> vector<2x4xi8>
  %1 = "loop.load_tile"(%b, %i, %i, %i) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
  // expected-error @+1 {{wants the atom 'magic', which no CPU with vectors of 16 lanes has}}
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "magic"} : (vector<2x4xi8>, vector<1x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return
}

// -----

// A step that multiplies other types.
func.func private @types(%a: memref<2x4xi8>, %b: memref<2x16x2xi8>, %i: index) attributes {loop.kernel} {
  %zero = arith.constant dense<0> : vector<2x16xi32>
  %0 = "loop.load_tile"(%a, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x4xi8>, index, index) -> vector<2x4xi8>
  %1 = "loop.load_tile"(%b, %i, %i, %i) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x16x2xi8>, index, index, index) -> vector<2x16x2xi8>
  // expected-error @+1 {{must be what its atom 'bf16_dot' multiplies: bf16, bf16, f32, 2 along k, and a signed lhs}}
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "bf16_dot"} : (vector<2x4xi8>, vector<2x16x2xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return
}

// -----

// Bytes of lhs that are signed, which the step takes for unsigned.
func.func private @signs(%a: memref<2x4xi8>, %b: memref<1x16x4xi8>, %i: index) attributes {loop.kernel} {
  %zero = arith.constant dense<0> : vector<2x16xi32>
  %0 = "loop.load_tile"(%a, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x4xi8>, index, index) -> vector<2x4xi8>
  %1 = "loop.load_tile"(%b, %i, %i, %i) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
  // expected-error @+1 {{must be what its atom 'int8_dot' multiplies: i8, i8, i32, 4 along k, and an unsigned lhs}}
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_dot"} : (vector<2x4xi8>, vector<1x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return
}

// -----

// Two groups of neighbours, of each of which only the first may be read.
func.func private @groups(%a: memref<2x8xi8>, %b: memref<8x16xi8>, %o: memref<2x16xi32>, %c1: index) attributes {loop.kernel} {
  %zero = arith.constant dense<0> : vector<2x16xi32>
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x8xi8>, index, index) -> vector<2x8xi8>
  // expected-error @+1 {{must read whole groups of neighbours, or the first of one group, for each column}}
  %1 = "loop.load_tile"(%b, %c0, %c0, %c2, %c16, %c1) {dims = array<i64: 0, 1, 0>, strides = array<i64: 4, 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 3>} : (memref<8x16xi8>, index, index, index, index, index) -> vector<2x16x4xi8>
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_dot", unsigned_lhs} : (vector<2x8xi8>, vector<2x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x16xi32>, memref<2x16xi32>, index, index) -> ()
  return
}

// -----

// A step that the target's features do not make: iree-compile would die of it.
module attributes {terrace.target = {cpu = {}, features = ["avx512f", "avx512bf16", "avx512bw", "avx512vl"], name = "cpu", threads = 1 : i64}} {
  func.func private @features(%a: memref<2x4xi8>, %b: memref<1x16x4xi8>, %i: index) attributes {loop.kernel} {
    %zero = arith.constant dense<0> : vector<2x16xi32>
    %0 = "loop.load_tile"(%a, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x4xi8>, index, index) -> vector<2x4xi8>
    %1 = "loop.load_tile"(%b, %i, %i, %i) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
    // expected-error @+1 {{wants the atom 'int8_dot', for which the target lacks features; its atoms: bf16_dot}}
    %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_dot", unsigned_lhs} : (vector<2x4xi8>, vector<1x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
    return
  }
}

// -----

// More memory than a worker has: the program would fail where it is called.
module attributes {terrace.target = {cpu = {local_bytes = 4096 : i64}, features = ["avx2", "fma"], name = "cpu", threads = 1 : i64}} {
  // expected-error @+1 {{@kernel needs 4112 bytes of local memory; a worker has 4096}}
  func.func private @kernel() attributes {loop.kernel} {
    %0 = "loop.alloc"() : () -> memref<1024xf32, "local">
    %1 = "loop.alloc"() : () -> memref<16xi8, "local">
    return
  }
}

// -----

func.func private @blocks_of_three_dimensions(%m: memref<1x16x32xbf16>) attributes {loop.kernel} {
  %lhs = arith.constant dense<1.0> : vector<1x16x32xbf16>
  %rhs = arith.constant dense<1.0> : vector<16x16x2xbf16>
  %sums = arith.constant dense<1.0> : vector<1x16x16xf32>
  // expected-error @+1 {{'loop.contract_tile' op must have an lhs of two dimensions, of which its atom 'amx_bf16' takes blocks}}
  %0 = "loop.contract_tile"(%lhs, %rhs, %sums) {atom = "amx_bf16"}
    : (vector<1x16x32xbf16>, vector<16x16x2xbf16>, vector<1x16x16xf32>) -> vector<1x16x16xf32>
  return
}
