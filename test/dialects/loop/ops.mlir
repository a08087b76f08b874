// RUN: terrace-opt %s | terrace-opt | filecheck %s

// Buffers of tensors, scratch memory, a parallel loop, and tiles that are partial, repeated and strided.
// CHECK-LABEL: func.func private @kernel
// CHECK:         %[[X:.*]] = "loop.to_buffer"(%arg0) : (tensor<?x8xf32>) -> memref<?x8xf32>
// CHECK:         "loop.parallel"(%arg1) ({
// CHECK-NEXT:    ^bb0(%[[I:.*]]: index):
// CHECK-NEXT:      %[[LOCAL:.*]] = "loop.alloc"() : () -> memref<4x8xf32, "local">
// CHECK-NEXT:      %[[A:.*]] = "loop.load_tile"(%[[X]], %[[I]], %[[I]], %arg1, %arg1) {dims = array<i64: 0, 1>,
// CHECK-SAME:        strides = array<i64: 2, 1>} : (memref<?x8xf32>, index, index, index, index) -> vector<4x2xf32>
// CHECK-NEXT:      %[[B:.*]] = "loop.load_tile"(%[[X]], %[[I]], %[[I]]) {dims = array<i64: -1, 1>
// CHECK-NEXT:      %[[ACC:.*]] = "loop.contract_tile"(%[[A]], %[[B]], %arg2)
// CHECK-NEXT:      %[[SUM:.*]] = "loop.reduce_tile"(%[[ACC]]) {{.*}}kind = "sum"{{.*}} -> vector<4x1xf32>
// CHECK-NEXT:      %[[WIDE:.*]] = "loop.broadcast_tile"(%[[SUM]]) : (vector<4x1xf32>) -> vector<4x8xf32>
// CHECK-NEXT:      "loop.index_tile"(%[[I]]) {dim = 1 : i64} : (index) -> vector<4x8xi32>
// CHECK-NEXT:      "loop.store_tile"(%[[WIDE]], %[[LOCAL]], %[[I]], %[[I]])
// CHECK-NEXT:      "loop.yield"()
// CHECK-NEXT:    }) {mapping = ["workgroup"]} : (index) -> ()
// CHECK:         "loop.to_tensor"
func.func private @kernel(%x: tensor<?x8xf32>, %n: index, %zero: vector<4x8xf32>) -> tensor<?x8xf32> {
  %0 = "loop.to_buffer"(%x) : (tensor<?x8xf32>) -> memref<?x8xf32>
  %1 = memref.alloc(%n) : memref<?x8xf32>
  "loop.parallel"(%n) ({
  ^bb0(%i: index):
    %local = "loop.alloc"() : () -> memref<4x8xf32, "local">
    %a = "loop.load_tile"(%0, %i, %i, %n, %n) {dims = array<i64: 0, 1>, strides = array<i64: 2, 1>,
      operandSegmentSizes = array<i32: 1, 2, 2>} : (memref<?x8xf32>, index, index, index, index) -> vector<4x2xf32>
    %b = "loop.load_tile"(%0, %i, %i) {dims = array<i64: -1, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<?x8xf32>, index, index) -> vector<2x8xf32>
    %c = "loop.contract_tile"(%a, %b, %zero) : (vector<4x2xf32>, vector<2x8xf32>, vector<4x8xf32>) -> vector<4x8xf32>
    %d = "loop.reduce_tile"(%c) {kind = "sum", operandSegmentSizes = array<i32: 1, 0>}
      : (vector<4x8xf32>) -> vector<4x1xf32>
    %e = "loop.broadcast_tile"(%d) : (vector<4x1xf32>) -> vector<4x8xf32>
    %f = "loop.index_tile"(%i) {dim = 1} : (index) -> vector<4x8xi32>
    "loop.store_tile"(%e, %local, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x8xf32>, memref<4x8xf32, "local">, index, index) -> ()
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %2 = "loop.to_tensor"(%1) : (memref<?x8xf32>) -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}

// A step of a machine takes neighbours along k together; the last of them may be more than lhs has.
// CHECK-LABEL: func.func @atom
// CHECK-NEXT:    "loop.contract_tile"(%arg0, %arg1, %arg2) {atom = "step", unsigned_lhs} : (vector<2x6xi8>, vector<2x16x4xi8>, vector<2x16xi32>)
func.func @atom(%a: vector<2x6xi8>, %b: vector<2x16x4xi8>, %c: vector<2x16xi32>) -> vector<2x16xi32> {
  %0 = "loop.contract_tile"(%a, %b, %c) {atom = "step", unsigned_lhs} : (vector<2x6xi8>, vector<2x16x4xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  return %0 : vector<2x16xi32>
}

// The eight codes of a word as numbers, or those of its two halves beside each other.
// CHECK-LABEL: func.func @unpack
// CHECK-NEXT:    "loop.unpack_tile"(%arg0) {bits = 4 : i64} : (vector<2x16x4xi8>) -> vector<16x16xf32>
// CHECK-NEXT:    "loop.unpack_tile"(%arg0) {bits = 4 : i64} : (vector<2x16x4xi8>) -> vector<8x16x2xbf16>
func.func @unpack(%a: vector<2x16x4xi8>) {
  %0 = "loop.unpack_tile"(%a) {bits = 4 : i64} : (vector<2x16x4xi8>) -> vector<16x16xf32>
  %1 = "loop.unpack_tile"(%a) {bits = 4 : i64} : (vector<2x16x4xi8>) -> vector<8x16x2xbf16>
  return
}

// An atom adds the products of neighbours, of which each stands in a tile of its own; integers become narrower.
// CHECK-LABEL: func.func @bytes
// CHECK-NEXT:    %[[SUM:.*]] = "loop.dot_tile"(%arg0, %arg1, %arg2, %arg2) {atom = "step"} : (vector<2x16xi32>, vector<2x16x4xi8>, vector<2x16xi8>, vector<2x16xi8>) -> vector<2x16xi32>
// CHECK-NEXT:    "loop.requantize_tile"(%[[SUM]], %arg0, %arg0) : (vector<2x16xi32>, vector<2x16xi32>, vector<2x16xi32>) -> vector<2x16xi8>
func.func @bytes(%sum: vector<2x16xi32>, %w: vector<2x16x4xi8>, %x: vector<2x16xi8>) {
  %0 = "loop.dot_tile"(%sum, %w, %x, %x) {atom = "step"} : (vector<2x16xi32>, vector<2x16x4xi8>, vector<2x16xi8>, vector<2x16xi8>) -> vector<2x16xi32>
  %1 = "loop.requantize_tile"(%0, %sum, %sum) : (vector<2x16xi32>, vector<2x16xi32>, vector<2x16xi32>) -> vector<2x16xi8>
  return
}

// What is so far at each element of a row and at its end; whether anything is true.
// CHECK-LABEL: func.func @rows
// CHECK-NEXT:    "loop.scan_tile"(%arg0) {kind = "max"} : (vector<2x16xf32>) -> (vector<2x16xf32>, vector<2x1xf32>)
// CHECK-NEXT:    "loop.any_tile"(%arg1) : (vector<2x16xi1>) -> i1
func.func @rows(%x: vector<2x16xf32>, %truth: vector<2x16xi1>) {
  %0:2 = "loop.scan_tile"(%x) {kind = "max"} : (vector<2x16xf32>) -> (vector<2x16xf32>, vector<2x1xf32>)
  %1 = "loop.any_tile"(%truth) : (vector<2x16xi1>) -> i1
  return
}
