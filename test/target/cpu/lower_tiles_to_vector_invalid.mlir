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
