// RUN: terrace-opt --lower-tiles-to-arrays --canonicalize --cse --split-input-file %s | filecheck %s
// RUN: terrace-opt --lower-tiles-to-arrays --split-input-file --verify-diagnostics %S/Inputs/refused_tiles.mlir

// The accumulator is one array, updated in place, k outermost; the epilogue is one loop over it. Nothing is asked for.
// CHECK-LABEL: func.func private @matmul
// CHECK-NOT:     memref.prefetch
// CHECK:         %[[ACC:.*]] = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xf32>
// CHECK-NOT:     memref.prefetch
// CHECK:         scf.for %[[STEP:.*]] = %c0 to %c6 step %c2
// CHECK:           %[[LHS:.*]] = memref.alloca() {{.*}} : memref<2xf32>
// CHECK:           %[[RHS:.*]] = memref.alloca() {{.*}} : memref<2x4xf32>
// CHECK:             memref.store %{{.*}}, %[[RHS]]
// CHECK:           scf.for %[[K:.*]] = %c0 to %c2
// CHECK-NEXT:        scf.for %[[N:.*]] = %c0 to %c4
// CHECK-NEXT:          %[[L:.*]] = memref.load %[[LHS]][%[[K]]]
// CHECK-NEXT:          %[[R:.*]] = memref.load %[[RHS]][%[[K]], %[[N]]]
// CHECK-NEXT:          %[[A:.*]] = memref.load %[[ACC]][%[[N]]]
// CHECK-NEXT:          %[[SUM:.*]] = math.fma %[[L]], %[[R]], %[[A]]
// CHECK-NEXT:          memref.store %[[SUM]], %[[ACC]][%[[N]]]
// CHECK:         scf.for %[[J:.*]] = %c0 to %c4
// CHECK-NEXT:      %[[X:.*]] = memref.load %[[ACC]][%[[J]]]
// CHECK-NEXT:      %[[E:.*]] = math.exp %[[X]]
// CHECK-NEXT:      memref.store %[[E]], %arg2[%c0, %[[J]]]
// CHECK-NOT:     vector<
func.func private @matmul(%a: tensor<1x6xf32>, %b: tensor<6x4xf32>, %out: memref<1x4xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  memref.prefetch %out[%c0, %c0], read, locality<2>, data : memref<1x4xf32>
  %c2 = arith.constant 2 : index
  %c6 = arith.constant 6 : index
  %zero = arith.constant dense<0.0> : vector<1x4xf32>
  %ma = "loop.to_buffer"(%a) : (tensor<1x6xf32>) -> memref<1x6xf32>
  %mb = "loop.to_buffer"(%b) : (tensor<6x4xf32>) -> memref<6x4xf32>
  %sum = scf.for %k = %c0 to %c6 step %c2 iter_args(%acc = %zero) -> (vector<1x4xf32>) {
    %l = "loop.load_tile"(%ma, %c0, %k) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x6xf32>, index, index) -> vector<1x2xf32>
    %r = "loop.load_tile"(%mb, %k, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<6x4xf32>, index, index) -> vector<2x4xf32>
    %next = "loop.contract_tile"(%l, %r, %acc) : (vector<1x2xf32>, vector<2x4xf32>, vector<1x4xf32>) -> vector<1x4xf32>
    scf.yield %next : vector<1x4xf32>
  }
  %e = math.exp %sum : vector<1x4xf32>
  "loop.store_tile"(%e, %out, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x4xf32>, memref<1x4xf32>, index, index) -> ()
  return
}

// -----

// A sum along a row, repeated along it; loop.parallel becomes loops.
// CHECK-LABEL: func.func private @normalise
// CHECK-NOT:     loop.parallel
// CHECK:         scf.for %[[ROW:.*]] = %c0 to %c3
// CHECK:           %[[SUM:.*]] = memref.alloca() : memref<f32>
// CHECK:           scf.for %[[I:.*]] = %c0 to %c8
// CHECK:             arith.addf
// CHECK:           scf.for %[[J:.*]] = %c0 to %c8
// CHECK-NEXT:        memref.load %{{.*}}[%[[J]]]
// CHECK-NEXT:        memref.load %[[SUM]][]
// CHECK-NEXT:        arith.divf
func.func private @normalise(%m: memref<3x8xf32>, %out: memref<3x8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  "loop.parallel"(%c3) ({
  ^bb0(%row: index):
    %x = "loop.load_tile"(%m, %row, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<3x8xf32>, index, index) -> vector<1x8xf32>
    %sum = "loop.reduce_tile"(%x) {kind = "sum", operandSegmentSizes = array<i32: 1, 0>} : (vector<1x8xf32>) -> vector<1x1xf32>
    %all = "loop.broadcast_tile"(%sum) : (vector<1x1xf32>) -> vector<1x8xf32>
    %y = arith.divf %x, %all : vector<1x8xf32>
    "loop.store_tile"(%y, %out, %row, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x8xf32>, memref<3x8xf32>, index, index) -> ()
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Positions are those of the loops.
// CHECK-LABEL: func.func private @positions
// CHECK:         scf.for %[[ROW:.*]] = %c0 to %c2
// CHECK:           scf.for %[[COLUMN:.*]] = %c0 to %c8
// CHECK:             %[[DOWN:.*]] = arith.addi %arg1, %[[ROW]]
// CHECK:             arith.index_cast %[[DOWN]] : index to i32
// CHECK:             %[[ACROSS:.*]] = arith.addi %arg2, %[[COLUMN]]
// CHECK:             arith.index_cast %[[ACROSS]] : index to i32
func.func private @positions(%o: memref<2x8xi32>, %i: index, %j: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
    %0 = "loop.index_tile"(%i) {dim = 0 : i64} : (index) -> vector<2x8xi32>
    %1 = "loop.index_tile"(%j) {dim = 1 : i64} : (index) -> vector<2x8xi32>
    %2 = arith.addi %0, %1 : vector<2x8xi32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x8xi32>, memref<2x8xi32>, index, index) -> ()
  return
}

// -----

// Both branches of a condition fill the arrays of what it gives; that of a number is one register.
// CHECK-LABEL: func.func private @branches
// CHECK:         %[[TILE:.*]] = memref.alloca() {{.*}} : memref<4xf32>
// CHECK-NEXT:    %[[NUMBER:.*]] = memref.alloca() : memref<f32>
// CHECK-NEXT:    scf.if %arg2 {
// CHECK:           memref.store %{{.*}}, %[[TILE]]
// CHECK:           memref.store %cst, %[[NUMBER]][]
// CHECK:         } else {
// CHECK:           memref.store %cst, %[[TILE]]
// CHECK:           memref.store %arg3, %[[NUMBER]][]
// CHECK:         %[[READ:.*]] = memref.load %[[NUMBER]][]
// CHECK:         memref.load %[[TILE]]
// CHECK-NEXT:    arith.mulf %{{.*}}, %[[READ]]
func.func private @branches(%a: memref<4xf32>, %o: memref<4xf32>, %c: i1, %n: f32) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %0:2 = scf.if %c -> (vector<4xf32>, f32) {
    %1 = "loop.load_tile"(%a, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
    scf.yield %1, %one : vector<4xf32>, f32
  } else {
    %2 = arith.constant dense<1.0> : vector<4xf32>
    scf.yield %2, %n : vector<4xf32>, f32
  }
  %3 = vector.broadcast %0#1 : f32 to vector<4xf32>
  %4 = arith.mulf %0#0, %3 : vector<4xf32>
  "loop.store_tile"(%4, %o, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<4xf32>, memref<4xf32>, index) -> ()
  return
}

// -----

// A number that a loop carries beside a tile is in a register, as the tile is in several.
// CHECK-LABEL: func.func private @carried
// CHECK:         memref.store %c0_i32, %[[SUM:.*]][
// CHECK:           %[[OLD:.*]] = memref.load %[[SUM]][%[[J:.*]]]
// CHECK:           %[[NEW:.*]] = arith.addi %[[OLD]]
// CHECK-NEXT:      memref.store %[[NEW]], %[[SUM]][%[[J]]]
// CHECK-NEXT:      }
// CHECK-NEXT:    }
func.func private @carried(%m: memref<4x8xi32>, %out: memref<8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant dense<0> : vector<8xi32>
  %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%s = %zero) -> (vector<8xi32>) {
    %x = "loop.load_tile"(%m, %i, %c0) {dims = array<i64: 1>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x8xi32>, index, index) -> vector<8xi32>
    %t = arith.addi %s, %x : vector<8xi32>
    scf.yield %t : vector<8xi32>
  }
  "loop.store_tile"(%sum, %out, %c0) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<8xi32>, memref<8xi32>, index) -> ()
  return
}
