func.func private @dynamic(%m: memref<?xf32>, %i: index, %n: index) attributes {loop.kernel} {
  // expected-error @+1 {{'loop.load_tile' op has a tile of dynamic size; hardware needs static shapes}}
  %x = "loop.load_tile"(%m, %i, %n) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 1>} : (memref<?xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func private @transposed(%m: memref<1x2xi32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x2xi32>, index, index) -> vector<1x2xi32>
  // expected-error @+1 {{'vector.transpose' op has no lowering to arrays}}
  %1 = vector.transpose %0, [1, 0] : vector<1x2xi32> to vector<2x1xi32>
  return
}

// -----

func.func private @element(%m: memref<4xi32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xi32>, index) -> vector<4xi32>
  // expected-error @+1 {{'vector.extract' op has no lowering to arrays}}
  %1 = vector.extract %0[1] : i32 from vector<4xi32>
  return
}

// -----

// expected-error @+1 {{'func.func' op takes a tile; a kernel takes tensors, memory and numbers}}
func.func private @argument(%x: vector<4xi32>) attributes {loop.kernel} {
  return
}

// -----

func.func private @atom(%m: memref<4x4xi8>, %w: memref<1x4x4xi8>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xi8>, index, index) -> vector<4x4xi8>
  %1 = "loop.load_tile"(%w, %i, %i, %i) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x4x4xi8>, index, index, index) -> vector<1x4x4xi8>
  %zero = arith.constant dense<0> : vector<4x4xi32>
  // expected-error @+1 {{wants the atom 'int8_dot', which arrays do not have}}
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_dot", unsigned_lhs} : (vector<4x4xi8>, vector<1x4x4xi8>, vector<4x4xi32>) -> vector<4x4xi32>
  return
}

// -----

func.func private @scalable() attributes {loop.kernel} {
  // expected-error @+1 {{'arith.constant' op has a tile of scalable size; tiles have static sizes}}
  %0 = arith.constant dense<0> : vector<[4]xi32>
  return
}
