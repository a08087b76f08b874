func.func private @dynamic(%m: memref<?xf32>, %i: index, %n: index) attributes {loop.kernel} {
  // expected-error @+1 {{'loop.load_tile' op has a tile of dynamic size; hardware needs static shapes}}
  %x = "loop.load_tile"(%m, %i, %n) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 1>} : (memref<?xf32>, index, index) -> vector<8xf32>
  return
}

// -----

func.func private @integers(%l: vector<1x2xi32>, %r: vector<2x4xi32>, %a: vector<1x4xi32>) attributes {loop.kernel} {
  // expected-error @+1 {{'vector.transpose' op has no lowering to arrays}}
  %0 = vector.transpose %l, [1, 0] : vector<1x2xi32> to vector<2x1xi32>
  return
}
