// RUN: terrace-opt --split-input-file --verify-diagnostics %s

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op needs 2 indices for memref<4x8xf32>, got 1}}
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 1>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 0>}
    : (memref<4x8xf32>, index) -> vector<8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op attribute 'dims' must have 1 elements, one for each of the tile}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op attribute 'strides' must have 1 elements}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op needs no sizes or 2, got 1}}
  %0 = "loop.load_tile"(%m, %i, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 2, 1>}
    : (memref<4x8xf32>, index, index, index) -> vector<4x8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op attribute 'dims' is out of range for memref<4x8xf32>}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 2>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op tile vector<2x5xf32> at strides [4, 1] is larger than memref<4x8xf32> and has no sizes}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 1, 1>, strides = array<i64: 4, 1>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<2x5xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index, %t: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.store_tile' op moves that add up in one dimension of memory must not meet again}}
  "loop.store_tile"(%t, %m, %i, %i) {dims = array<i64: 1, 1>, strides = array<i64: 3, 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>}
    : (vector<2x4xf32>, memref<4x8xf32>, index, index) -> ()
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op attribute 'strides' must be positive}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 1>, strides = array<i64: 0>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op tile vector<4xf32> at strides [3] is larger than memref<4x8xf32> and has no sizes}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 1>, strides = array<i64: 3>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<4xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error @+1 {{'loop.load_tile' op tile vector<8xf64> and memory memref<4x8xf32> differ in element type}}
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 1>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 2, 0>}
    : (memref<4x8xf32>, index, index) -> vector<8xf64>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index, %v: vector<8xf32>) {
  // expected-error @+1 {{'loop.store_tile' op cannot store along a repeated dimension}}
  "loop.store_tile"(%v, %m, %i, %i) {dims = array<i64: -1>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>}
    : (vector<8xf32>, memref<4x8xf32>, index, index) -> ()
  return
}

// -----

func.func @f(%v: vector<8xf32>) {
  // expected-error @+1 {{'loop.contract_tile' op rhs must have rank 2, got 8}}
  %0 = "loop.contract_tile"(%v, %v, %v) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>, %b: vector<8x2xf32>) {
  // expected-error @+1 {{'loop.contract_tile' op contracted sizes differ: [2] and 8}}
  %0 = "loop.contract_tile"(%a, %b, %a) : (vector<3x2xf32>, vector<8x2xf32>, vector<3x2xf32>) -> vector<3x2xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>, %c: vector<2x3xf32>) {
  // expected-error @+1 {{'loop.contract_tile' op accumulator must be 3x3}}
  %0 = "loop.contract_tile"(%a, %c, %a) : (vector<3x2xf32>, vector<2x3xf32>, vector<3x2xf32>) -> vector<3x2xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>, %s: vector<2x2xf32>) {
  // expected-error @+1 {{'loop.contract_tile' op result and accumulator differ in type}}
  %0 = "loop.contract_tile"(%a, %s, %a) : (vector<3x2xf32>, vector<2x2xf32>, vector<3x2xf32>) -> vector<3x2xf64>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'loop.parallel' op must have one block}}
  "loop.parallel"() ({}) {mapping = []} : () -> ()
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @+1 {{'loop.parallel' op needs one index argument in its body for each bound}}
  "loop.parallel"(%i) ({
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @+1 {{'loop.parallel' op needs one mapping for each bound}}
  "loop.parallel"(%i) ({
  ^bb0(%j: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = []} : (index) -> ()
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @+1 {{'loop.parallel' op mapping must be 'workgroup', got ['lane']}}
  "loop.parallel"(%i) ({
  ^bb0(%j: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["lane"]} : (index) -> ()
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @+1 {{'loop.parallel' op has at most 3 dimensions, as workgroups have}}
  "loop.parallel"(%i, %i, %i, %i) ({
  ^bb0(%j: index, %k: index, %l: index, %n: index):
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup", "workgroup", "workgroup", "workgroup"]} : (index, index, index, index) -> ()
  return
}

// -----

func.func @f(%t: tensor<4xf32>) {
  // expected-error @+1 {{'loop.to_buffer' op must keep shape and element type: tensor<4xf32> and memref<5xf32>}}
  %0 = "loop.to_buffer"(%t) : (tensor<4xf32>) -> memref<5xf32>
  return
}

// -----

func.func @f(%m: memref<4x8xf32>) {
  // expected-error @+1 {{'loop.to_tensor' op must keep shape and element type: memref<4x8xf32> and tensor<4x8xf64>}}
  %0 = "loop.to_tensor"(%m) : (memref<4x8xf32>) -> tensor<4x8xf64>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'loop.alloc' op needs a static shape}}
  %0 = "loop.alloc"() : () -> memref<?xf32, "local">
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'loop.alloc' op must be in memory space "local", got None}}
  %0 = "loop.alloc"() : () -> memref<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'loop.alloc' op must be in memory space "local", got "far"}}
  %0 = "loop.alloc"() : () -> memref<4xf32, "far">
  return
}

// -----

func.func @f(%a: vector<3x2xf32>) {
  // expected-error @+1 {{'loop.reduce_tile' op unknown kind 'product', expected one of}}
  %0 = "loop.reduce_tile"(%a) {kind = "product"} : (vector<3x2xf32>) -> vector<3x1xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>, %i: index) {
  // expected-error @+1 {{'loop.reduce_tile' op needs no sizes or 2, got 1}}
  %0 = "loop.reduce_tile"(%a, %i) {kind = "sum"} : (vector<3x2xf32>, index) -> vector<3x1xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>) {
  // expected-error @+1 {{'loop.reduce_tile' op result must be 3x1, got 3}}
  %0 = "loop.reduce_tile"(%a) {kind = "sum"} : (vector<3x2xf32>) -> vector<3xf32>
  return
}

// -----

func.func @f(%a: vector<3x2xf32>) {
  // expected-error @+1 {{'loop.broadcast_tile' op cannot repeat 3x2 along the last dimension of 3x8}}
  %0 = "loop.broadcast_tile"(%a) : (vector<3x2xf32>) -> vector<3x8xf32>
  return
}

// -----

func.func @f(%a: vector<2x3xi8>, %b: vector<3x4xi8>, %c: vector<2x4xf32>) {
  // expected-error @below {{'loop.contract_tile' op cannot add products of i8 and i8 to an accumulator of f32}}
  %0 = "loop.contract_tile"(%a, %b, %c) : (vector<2x3xi8>, vector<3x4xi8>, vector<2x4xf32>) -> vector<2x4xf32>
  return
}

// -----

func.func @f(%i: vector<4xi32>) {
  // expected-error @below {{'loop.lookup_tile' op result must be 4 of i8, got vector<4xi32>}}
  %0 = "loop.lookup_tile"(%i) {table = dense<7> : tensor<256xi8>} : (vector<4xi32>) -> vector<4xi32>
  return
}

// -----

func.func @f(%i: vector<4xf32>) {
  // expected-error @below {{'loop.lookup_tile' op indices must be integers, got vector<4xf32>}}
  %0 = "loop.lookup_tile"(%i) {table = dense<7> : tensor<256xi8>} : (vector<4xf32>) -> vector<4xi8>
  return
}

// -----

func.func @f(%i: vector<4xi32>) {
  // expected-error @below {{'loop.lookup_tile' op attribute 'table' must have one dimension, got tensor<2x8xi8>}}
  %0 = "loop.lookup_tile"(%i) {table = dense<7> : tensor<2x8xi8>} : (vector<4xi32>) -> vector<4xi8>
  return
}

// -----

func.func @f(%x: vector<4xi8>, %w: vector<4x3xi8>, %a: vector<4xi32>) {
  // expected-error @below {{'loop.dot_tile' op lhs must have the shape of vector<4xi32>, and rhs four neighbours for each element, got vector<4x3xi8>}}
  %0 = "loop.dot_tile"(%a, %w, %x) {atom = "int8_dot"} : (vector<4xi32>, vector<4x3xi8>, vector<4xi8>) -> vector<4xi32>
  return
}

// -----

func.func @f(%x: vector<4xi8>, %w: vector<4x4xi8>, %a: vector<4xi32>) {
  // expected-error @below {{'loop.dot_tile' op needs one to four tiles of lhs, got 5}}
  %0 = "loop.dot_tile"(%a, %w, %x, %x, %x, %x, %x) {atom = "int8_dot"} : (vector<4xi32>, vector<4x4xi8>, vector<4xi8>, vector<4xi8>, vector<4xi8>, vector<4xi8>, vector<4xi8>) -> vector<4xi32>
  return
}

// -----

func.func @f(%x: vector<4xf32>, %w: vector<4x4xf32>, %a: vector<4xf32>) {
  // expected-error @below {{'loop.dot_tile' op adds products of i8 to i32, got vector<4x4xf32> and vector<4xf32>}}
  %0 = "loop.dot_tile"(%a, %w, %x) {atom = "int8_dot"} : (vector<4xf32>, vector<4x4xf32>, vector<4xf32>) -> vector<4xf32>
  return
}

// -----

func.func @f(%x: vector<4xi32>, %m: vector<8xi32>) {
  // expected-error @below {{'loop.requantize_tile' op needs three tiles of i32 of one shape, got vector<4xi32>}}
  %0 = "loop.requantize_tile"(%x, %m, %m) : (vector<4xi32>, vector<8xi32>, vector<8xi32>) -> vector<4xi8>
  return
}

// -----

func.func @f(%x: vector<4xi32>) {
  // expected-error @below {{'loop.requantize_tile' op result must be i8, i16 or i32, got vector<4xf32>}}
  %0 = "loop.requantize_tile"(%x, %x, %x) : (vector<4xi32>, vector<4xi32>, vector<4xi32>) -> vector<4xf32>
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @below {{'loop.index_tile' op result must be a tile of integers, got vector<4x8xf32>}}
  %0 = "loop.index_tile"(%i) {dim = 0 : i64} : (index) -> vector<4x8xf32>
  return
}

// -----

func.func @f(%i: index) {
  // expected-error @below {{'loop.index_tile' op attribute 'dim' is out of range for vector<4x8xi32>}}
  %0 = "loop.index_tile"(%i) {dim = 2 : i64} : (index) -> vector<4x8xi32>
  return
}

// -----

// A kind of attribute that the bindings cannot give.
func.func @f(%m: memref<19xf32>, %i: index) {
  // expected-error @below {{'operandSegmentSizes' attribute}}
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = loc(unknown)}
    : (memref<19xf32>, index) -> vector<19xf32>
  return
}

// -----

func.func @atom(%a: vector<2x9xi8>, %b: vector<2x16x4xi8>, %c: vector<2x16xi32>) {
  // expected-error @+1 {{'loop.contract_tile' op contracted sizes differ: [9] and 2x4}}
  %0 = "loop.contract_tile"(%a, %b, %c) {atom = "step"} : (vector<2x9xi8>, vector<2x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return
}

// -----

func.func @atom(%a: vector<2x4xi8>, %b: vector<4x16xi8>, %c: vector<2x16xi32>) {
  // expected-error @+1 {{'loop.contract_tile' op rhs must have rank 3, got 4x16}}
  %0 = "loop.contract_tile"(%a, %b, %c) {atom = "step"} : (vector<2x4xi8>, vector<4x16xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return
}

// -----

// No lowering of multiply-adds reads lhs as unsigned.
func.func @unsigned(%a: vector<2x3xi8>, %b: vector<3x4xi8>, %c: vector<2x4xi32>) {
  // expected-error @+1 {{'loop.contract_tile' op attribute 'unsigned_lhs' needs an 'atom'}}
  %0 = "loop.contract_tile"(%a, %b, %c) {unsigned_lhs} : (vector<2x3xi8>, vector<3x4xi8>, vector<2x4xi32>) -> vector<2x4xi32>
  return
}

// -----

func.func @f(%x: vector<2x4xindex>, %y: vector<4x3xindex>, %z: vector<2x3xindex>) {
  // expected-error @+1 {{'loop.contract_tile' op cannot add products of index and index to an accumulator of index}}
  %0 = "loop.contract_tile"(%x, %y, %z) : (vector<2x4xindex>, vector<4x3xindex>, vector<2x3xindex>) -> vector<2x3xindex>
  return
}

// -----

func.func @f(%x: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.reduce_tile' op cannot make a tile of i32 of one of f32}}
  %0 = "loop.reduce_tile"(%x) {kind = "max", operandSegmentSizes = array<i32: 1, 0>} : (vector<2x4xf32>) -> vector<2x1xi32>
  return
}

// -----

func.func @f(%x: vector<2x1xindex>) {
  // expected-error @+1 {{'loop.broadcast_tile' op cannot make a tile of index of one of index}}
  %0 = "loop.broadcast_tile"(%x) : (vector<2x1xindex>) -> vector<2x4xindex>
  return
}

// -----

func.func @f(%x: vector<16x4xi8>) {
  // expected-error @+1 {{'loop.unpack_tile' op codes must be a tile [w, n, b] of i8, got vector<16x4xi8>}}
  %0 = "loop.unpack_tile"(%x) {bits = 4 : i64} : (vector<16x4xi8>) -> vector<8x16xf32>
  return
}

// -----

func.func @f(%x: vector<1x16x4xi8>) {
  // expected-error @+1 {{'loop.unpack_tile' op attribute 'bits' must be 1, 2 or 4, got 3}}
  %0 = "loop.unpack_tile"(%x) {bits = 3 : i64} : (vector<1x16x4xi8>) -> vector<8x16xf32>
  return
}

// -----

func.func @f(%x: vector<1x16x4xi8>) {
  // expected-error @+1 {{'loop.unpack_tile' op result must have 8 integers of each of 1 x 16 words, got vector<7x16xf32>}}
  %0 = "loop.unpack_tile"(%x) {bits = 4 : i64} : (vector<1x16x4xi8>) -> vector<7x16xf32>
  return
}

// -----

func.func @f(%x: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.scan_tile' op unknown kind 'mean', expected one of sum, prod, max, min}}
  %0:2 = "loop.scan_tile"(%x) {kind = "mean"} : (vector<2x4xf32>) -> (vector<2x4xf32>, vector<2x1xf32>)
  return
}

// -----

func.func @f(%x: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.scan_tile' op result 0 must be}}
  %0:2 = "loop.scan_tile"(%x) {kind = "sum"} : (vector<2x4xf32>) -> (vector<2x3xf32>, vector<2x1xf32>)
  return
}

// -----

func.func @f(%x: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.scan_tile' op result 1 must be 2x1, got 2x2}}
  %0:2 = "loop.scan_tile"(%x) {kind = "sum"} : (vector<2x4xf32>) -> (vector<2x4xf32>, vector<2x2xf32>)
  return
}

// -----

func.func @f(%x: vector<2x4xf32>) {
  // expected-error @+1 {{'loop.scan_tile' op must be of numbers of f32}}
  %0:2 = "loop.scan_tile"(%x) {kind = "sum"} : (vector<2x4xf32>) -> (vector<2x4xf32>, vector<2x1xf64>)
  return
}

// -----

func.func @f(%x: vector<2x4xi8>) {
  // expected-error @+1 {{'loop.any_tile' op must be of i1 and give one}}
  %0 = "loop.any_tile"(%x) : (vector<2x4xi8>) -> i1
  return
}
