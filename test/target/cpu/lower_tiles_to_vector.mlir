// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-vector{lanes=8},canonicalize)' --split-input-file %s | filecheck %s --check-prefix=LANES8
// RUN: not terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-vector{lanes=12})' %s 2>&1 | filecheck %s --check-prefix=REFUSED

// REFUSED: lanes must be a power of two, got 12

// A full tile: two pieces of 16 lanes a row.
// CHECK-LABEL: func.func private @full
// CHECK-COUNT-4: vector.load {{.*}}, vector<16xf32>
// CHECK-COUNT-4: math.exp {{.*}} : vector<16xf32>
// CHECK-COUNT-4: vector.store {{.*}}, vector<16xf32>
// LANES8-LABEL: func.func private @full
// LANES8-COUNT-8: vector.load {{.*}}, vector<8xf32>
func.func private @full(%m: memref<4x32xf32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x32xf32>, index, index) -> vector<2x32xf32>
  %1 = math.exp %0 : vector<2x32xf32>
  "loop.store_tile"(%1, %m, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x32xf32>, memref<4x32xf32>, index, index) -> ()
  return
}

// -----

// A tail: 19 elements are a vector, and 3 of 4 masked lanes.
// CHECK-LABEL: func.func private @tail
// CHECK:         vector.load %arg0[%arg1] : memref<19xf32>, vector<16xf32>
// CHECK:         %[[MASK:.*]] = vector.constant_mask [3] : vector<4xi1>
// CHECK:         vector.maskedload %arg0[%{{.*}}], %[[MASK]]
// CHECK:         vector.maskedstore
// LANES8-LABEL: func.func private @tail
// LANES8-COUNT-2: vector.load {{.*}}, vector<8xf32>
// LANES8:        vector.maskedload {{.*}} into vector<4xf32>
func.func private @tail(%m: memref<19xf32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<19xf32>, index) -> vector<19xf32>
  "loop.store_tile"(%0, %m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<19xf32>, memref<19xf32>, index) -> ()
  return
}

// -----

// Repeated along rows: one load for all; repeated along columns: a scalar, broadcast.
// CHECK-LABEL: func.func private @repeated
// CHECK:         %[[ROW:.*]] = vector.load
// CHECK-NEXT:    %[[FIRST:.*]] = memref.load
// CHECK-NEXT:    vector.broadcast %[[FIRST]]
// CHECK:         memref.load
// CHECK-NOT:     vector.load
// CHECK-COUNT-2: arith.addf %[[ROW]],
func.func private @repeated(%m: memref<16xf32>, %o: memref<2x16xf32>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: -1, 0>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<16xf32>, index) -> vector<2x16xf32>
  %1 = "loop.load_tile"(%m, %i) {dims = array<i64: 0, -1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<16xf32>, index) -> vector<2x16xf32>
  %2 = arith.addf %0, %1 : vector<2x16xf32>
  "loop.store_tile"(%2, %o, %i, %i) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x16xf32>, memref<2x16xf32>, index, index) -> ()
  return
}

// -----

// Strided and transposed rows are gathered element by element; a strided store is scattered.
// CHECK-LABEL: func.func private @strided
// CHECK:         memref.load %arg0[%c0, %c0]
// CHECK-NEXT:    memref.load %arg0[%c0, %c2]
// CHECK-NEXT:    memref.load %arg0[%c0, %c4]
// CHECK-NEXT:    memref.load %arg0[%c0, %c6]
// CHECK-NEXT:    vector.from_elements
// CHECK:         memref.load %arg0[%c1, %c0]
// CHECK:         %[[LAST:.*]] = vector.extract %{{.*}}[3]
// CHECK-NEXT:    memref.store %[[LAST]], %arg1[%c3, %c0]
func.func private @strided(%m: memref<8x8xf32>, %o: memref<8x8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 1>, strides = array<i64: 2>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<8x8xf32>, index, index) -> vector<4xf32>
  %1 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<8x8xf32>, index, index) -> vector<4xf32>
  %2 = arith.addf %0, %1 : vector<4xf32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4xf32>, memref<8x8xf32>, index, index) -> ()
  return
}

// -----

// With sizes, rows beyond the first are stored if they are in bounds, and lanes are masked.
// CHECK-LABEL: func.func private @partial
// CHECK:         %[[MASK:.*]] = vector.create_mask %arg2 : vector<16xi1>
// CHECK-NEXT:    vector.maskedload %arg0[%c0, %c0], %[[MASK]]
// The second row's address is clamped: what is out of bounds is not read.
// CHECK:         %[[LAST:.*]] = arith.subi %arg1, %c1
// CHECK:         %[[AT:.*]] = arith.minsi %[[LAST]], %c1
// CHECK:         vector.maskedload %arg0[%[[AT]], %c0]
// CHECK:         vector.maskedstore %arg0[%c0, %c0]
// CHECK:         %[[INSIDE:.*]] = arith.cmpi sgt, %arg1, %c1
// CHECK-NEXT:    scf.if %[[INSIDE]] {
// CHECK:           vector.maskedstore %arg0[%c1, %c0]
func.func private @partial(%m: memref<?x?xf32>, %rows: index, %columns: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%m, %c0, %c0, %rows, %columns) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 2>} : (memref<?x?xf32>, index, index, index, index) -> vector<2x16xf32>
  "loop.store_tile"(%0, %m, %c0, %c0, %rows, %columns) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 2>} : (vector<2x16xf32>, memref<?x?xf32>, index, index, index, index) -> ()
  return
}

// -----

// A contraction is an outer product of broadcast scalars of lhs with vectors of rhs, on loop-carried pieces.
// CHECK-LABEL: func.func private @contract
// CHECK:         %[[SUM:.*]]:6 = scf.for
// CHECK-COUNT-3:   memref.load %arg0
// CHECK-COUNT-2:   vector.load %arg1
// CHECK:           %[[A:.*]] = vector.broadcast
// CHECK-NEXT:      math.fma %[[A]], %{{.*}} : vector<16xf32>
// CHECK-NEXT:      math.fma %[[A]], %{{.*}} : vector<16xf32>
// CHECK-COUNT-4:   math.fma
// CHECK-NOT:       math.fma
// CHECK:         vector.store %[[SUM]]#0
// LANES8-LABEL: func.func private @contract
// LANES8-COUNT-12: math.fma {{.*}} : vector<8xf32>
// LANES8-NOT:    math.fma
func.func private @contract(%a: memref<3x8xf32>, %b: memref<8x32xf32>, %o: memref<3x32xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant dense<0.0> : vector<3x32xf32>
  %sum = scf.for %k = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> (vector<3x32xf32>) {
    %0 = "loop.load_tile"(%a, %c0, %k) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<3x8xf32>, index, index) -> vector<3x1xf32>
    %1 = "loop.load_tile"(%b, %k, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<8x32xf32>, index, index) -> vector<1x32xf32>
    %2 = "loop.contract_tile"(%0, %1, %acc) : (vector<3x1xf32>, vector<1x32xf32>, vector<3x32xf32>) -> vector<3x32xf32>
    scf.yield %2 : vector<3x32xf32>
  }
  "loop.store_tile"(%sum, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<3x32xf32>, memref<3x32xf32>, index, index) -> ()
  return
}

// -----

// Integers are sign-extended to the accumulator, each piece of rhs once.
// LANES8-LABEL: func.func private @integers
// CHECK-LABEL: func.func private @integers
// CHECK-DAG:     %[[A:.*]] = memref.load {{.*}} : memref<2x8xi8>
// CHECK-DAG:     %[[B:.*]] = vector.load {{.*}} : memref<8x16xi8>, vector<16xi8>
// CHECK:         %[[WB:.*]] = arith.extsi %[[B]] : vector<16xi8> to vector<16xi32>
// CHECK:         arith.extsi %{{.*}} : i8 to i32
// CHECK:         arith.muli %{{.*}}, %[[WB]] : vector<16xi32>
// CHECK-NEXT:    arith.addi
// CHECK:         arith.muli %{{.*}}, %[[WB]] : vector<16xi32>
// CHECK-NEXT:    arith.addi
// CHECK-NOT:     math.fma
func.func private @integers(%a: memref<2x8xi8>, %b: memref<8x16xi8>, %o: memref<2x16xi32>, %k: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %sum = "loop.load_tile"(%o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x16xi32>, index, index) -> vector<2x16xi32>
  %0 = "loop.load_tile"(%a, %c0, %k) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x8xi8>, index, index) -> vector<2x1xi8>
  %1 = "loop.load_tile"(%b, %k, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<8x16xi8>, index, index) -> vector<1x16xi8>
  %2 = "loop.contract_tile"(%0, %1, %sum) : (vector<2x1xi8>, vector<1x16xi8>, vector<2x16xi32>) -> vector<2x16xi32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x16xi32>, memref<2x16xi32>, index, index) -> ()
  return
}

// -----

// What a contraction multiplies by is computed as the scalars that it wants; what is stored, too, is made for both uses.
// CHECK-LABEL: func.func private @held
// CHECK-DAG:     %[[SCALAR:.*]] = memref.load %arg0[%c0, %c0] : memref<1x16xf32>
// CHECK-DAG:     %[[ROW:.*]] = vector.load %arg0[%c0, %c0] : memref<1x16xf32>, vector<16xf32>
// CHECK-DAG:     math.exp %[[SCALAR]] : f32
// CHECK-DAG:     math.exp %[[ROW]] : vector<16xf32>
// CHECK-NOT:     vector.extract
func.func private @held(%a: memref<1x16xf32>, %b: memref<16x16xf32>, %o: memref<2x16xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : vector<1x16xf32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x16xf32>, index, index) -> vector<1x16xf32>
  %1 = math.exp %0 : vector<1x16xf32>
  %2 = "loop.load_tile"(%b, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<16x16xf32>, index, index) -> vector<16x16xf32>
  %3 = "loop.contract_tile"(%1, %2, %zero) : (vector<1x16xf32>, vector<16x16xf32>, vector<1x16xf32>) -> vector<1x16xf32>
  "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x16xf32>, memref<2x16xf32>, index, index) -> ()
  "loop.store_tile"(%3, %o, %c1, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x16xf32>, memref<2x16xf32>, index, index) -> ()
  return
}

// -----

// The result of a contraction is converted where it is made, not in the loop that multiplies by its elements.
// CHECK-LABEL: func.func private @converted
// CHECK:         math.fma
// CHECK-COUNT-4: vector.extract
// CHECK:         scf.for
// CHECK-NOT:       vector.extract
// CHECK-COUNT-4:   math.fma
// CHECK-NOT:     vector.extract
func.func private @converted(%a: memref<4x4xf32>, %o: memref<1x4xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : vector<1x4xf32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
  %1 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<1x4xf32>
  %2 = "loop.contract_tile"(%1, %0, %zero) : (vector<1x4xf32>, vector<4x4xf32>, vector<1x4xf32>) -> vector<1x4xf32>
  %3 = scf.for %i = %c0 to %n step %c1 iter_args(%sum = %zero) -> (vector<1x4xf32>) {
    %4 = "loop.contract_tile"(%2, %0, %sum) : (vector<1x4xf32>, vector<4x4xf32>, vector<1x4xf32>) -> vector<1x4xf32>
    scf.yield %4 : vector<1x4xf32>
  }
  "loop.store_tile"(%3, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x4xf32>, memref<1x4xf32>, index, index) -> ()
  return
}

// -----

// A tile that a loop carries is converted at the top of each of its rounds, which make it anew.
// CHECK-LABEL: func.func private @carried
// CHECK:         scf.for %{{.*}} = %c0 to %arg2 step %c1 iter_args(%[[ROW:.*]] = %{{.*}})
// CHECK-NEXT:      vector.extract %[[ROW]]
// CHECK:           scf.for
// CHECK-NOT:         vector.extract
// CHECK:             math.fma
func.func private @carried(%a: memref<4x4xf32>, %o: memref<1x4xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : vector<1x4xf32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
  %1 = scf.for %i = %c0 to %n step %c1 iter_args(%row = %zero) -> (vector<1x4xf32>) {
    %2 = scf.for %j = %c0 to %n step %c1 iter_args(%sum = %zero) -> (vector<1x4xf32>) {
      %3 = "loop.contract_tile"(%row, %0, %sum) : (vector<1x4xf32>, vector<4x4xf32>, vector<1x4xf32>) -> vector<1x4xf32>
      scf.yield %3 : vector<1x4xf32>
    }
    scf.yield %2 : vector<1x4xf32>
  }
  "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x4xf32>, memref<1x4xf32>, index, index) -> ()
  return
}

// -----

// A condition for all elements of a tile, and a tile without dimensions.
// CHECK-LABEL: func.func private @single
// CHECK:         %[[X:.*]] = memref.load %arg0[] : memref<f32>
// CHECK-NEXT:    %[[Y:.*]] = arith.select %arg1, %[[X]], %cst : f32
// CHECK-NEXT:    memref.store %[[Y]], %arg0[] : memref<f32>
func.func private @single(%m: memref<f32>, %c: i1) attributes {loop.kernel} {
  %zero = arith.constant dense<0.0> : vector<f32>
  %0 = "loop.load_tile"(%m) {dims = array<i64>, strides = array<i64>, operandSegmentSizes = array<i32: 1, 0, 0>} : (memref<f32>) -> vector<f32>
  %1 = arith.select %c, %0, %zero : vector<f32>
  "loop.store_tile"(%1, %m) {dims = array<i64>, strides = array<i64>, operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (vector<f32>, memref<f32>) -> ()
  return
}

// -----

// Both branches of a condition give the parts of a tile.
// CHECK-LABEL: func.func private @branches
// CHECK:         %[[PARTS:.*]]:2 = scf.if %arg2 -> (vector<16xf32>, vector<16xf32>) {
// CHECK:           scf.yield %{{.*}}, %{{.*}} : vector<16xf32>, vector<16xf32>
// CHECK:         } else {
// CHECK:           scf.yield
// CHECK:         vector.store %[[PARTS]]#1
func.func private @branches(%a: memref<2x16xf32>, %o: memref<2x16xf32>, %c: i1) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = scf.if %c -> vector<2x16xf32> {
    %1 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x16xf32>, index, index) -> vector<2x16xf32>
    scf.yield %1 : vector<2x16xf32>
  } else {
    %2 = arith.constant dense<1.0> : vector<2x16xf32>
    scf.yield %2 : vector<2x16xf32>
  }
  "loop.store_tile"(%0, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x16xf32>, memref<2x16xf32>, index, index) -> ()
  return
}

// -----

// A function that is no loop function keeps its vectors.
// CHECK-LABEL: func.func @other
// CHECK-NEXT:    arith.addf %arg0, %arg0 : vector<2x32xf32>
func.func @other(%v: vector<2x32xf32>) -> vector<2x32xf32> {
  %0 = arith.addf %v, %v : vector<2x32xf32>
  return %0 : vector<2x32xf32>
}

// -----

// A table is a constant of the program; each lane reads its element.
// CHECK-LABEL: memref.global "private" constant @table_
// CHECK-SAME:    : memref<16xi8> = dense<
// CHECK-LABEL: func.func private @lookup
// CHECK:         %[[T:.*]] = memref.get_global @table_
// CHECK-COUNT-4: memref.load %[[T]]
// CHECK:         vector.from_elements
func.func private @lookup(%m: memref<4xi32>, %o: memref<4xi8>, %i: index) attributes {loop.kernel} {
  %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xi32>, index) -> vector<4xi32>
  %1 = "loop.lookup_tile"(%0) {table = dense<"0x0102030405060708090A0B0C0D0E0F10"> : tensor<16xi8>} : (vector<4xi32>) -> vector<4xi8>
  "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
    operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<4xi8>, memref<4xi8>, index) -> ()
  return
}

// -----

// Positions along a row ascend within a vector, those along the rows are one number for each.
// CHECK-LABEL: func.func private @positions
// CHECK-DAG:     %[[TAIL:.*]] = arith.constant dense<[16, 17, 18, 19]> : vector<4xi32>
// CHECK-DAG:     %[[LANES:.*]] = arith.constant dense<[0, 1, 2, {{.*}}, 15]> : vector<16xi32>
// CHECK-DAG:     %[[ONE:.*]] = arith.constant dense<1> : vector<16xi32>
// CHECK:         arith.addi %{{.*}}, %[[ONE]]
// CHECK:         arith.addi %{{.*}}, %[[LANES]]
// CHECK:         arith.addi %{{.*}}, %[[TAIL]]
// CHECK:         arith.addi %{{.*}}, %[[LANES]]
// CHECK:         arith.addi %{{.*}}, %[[TAIL]]
func.func private @positions(%o: memref<2x19xi32>, %i: index, %j: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
    %0 = "loop.index_tile"(%i) {dim = 0 : i64} : (index) -> vector<2x19xi32>
    %1 = "loop.index_tile"(%j) {dim = 1 : i64} : (index) -> vector<2x19xi32>
    %2 = arith.addi %0, %1 : vector<2x19xi32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x19xi32>, memref<2x19xi32>, index, index) -> ()
  return
}

// -----

// Columns that are runs of memory are loaded as such, and transposed by shuffles: 5 columns of 20 rows, 16 and 4.
// CHECK-LABEL: func.func private @columns
// CHECK-COUNT-5: vector.load %arg0{{.*}} : memref<5x20xf32>, vector<16xf32>
// CHECK:         vector.shuffle %{{.*}}, %{{.*}} [0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30]
// CHECK:         vector.extract_strided_slice {{.*}} : vector<16xf32> to vector<8xf32>
// CHECK:         vector.constant_mask [4] : vector<16xi1>
// CHECK-COUNT-5: vector.maskedload %arg0
// CHECK-NOT:     memref.load
// CHECK:         vector.maskedstore %arg1
func.func private @columns(%m: memref<5x20xf32>, %o: memref<20x8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 1, 0>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<5x20xf32>, index, index) -> vector<20x5xf32>
  "loop.store_tile"(%0, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<20x5xf32>, memref<20x8xf32>, index, index) -> ()
  return
}

// -----

// A store to such columns; of a partial tile, rows beyond the bound are masked and columns are conditional.
// CHECK-LABEL: func.func private @to_columns
// CHECK:         vector.shuffle
// CHECK:         %[[MASK:.*]] = vector.create_mask %arg2 : vector<16xi1>
// CHECK:         vector.maskedstore %arg1[%c0, %c0], %[[MASK]]
// CHECK:         %[[INSIDE:.*]] = arith.cmpi sgt, %arg3, %c1
// CHECK:         scf.if %[[INSIDE]]
// CHECK:           vector.maskedstore %arg1[%c1, %c0]
func.func private @to_columns(%m: memref<16x16xf32>, %o: memref<?x?xf32>, %rows: index, %columns: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<16x16xf32>, index, index) -> vector<16x16xf32>
  "loop.store_tile"(%0, %o, %c0, %c0, %rows, %columns) {dims = array<i64: 1, 0>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 2>} : (vector<16x16xf32>, memref<?x?xf32>, index, index, index, index) -> ()
  return
}

// -----

// A scan: lanes move up by 1, 2 and 4, and what comes in changes nothing. The second piece follows the first one's end.
// CHECK-LABEL: func.func private @scan
// LANES8-LABEL: func.func private @scan
// LANES8:         %[[NONE:.*]] = arith.constant dense<1.000000e+00> : vector<8xf32>
// LANES8:         %[[X:.*]] = vector.load %{{.*}}[%c0, %c0]
// LANES8:         %[[A:.*]] = vector.shuffle %[[X]], %[[NONE]] [8, 0, 1, 2, 3, 4, 5, 6]
// LANES8:         %[[B:.*]] = arith.mulf %[[A]], %[[X]]
// LANES8:         %[[C:.*]] = vector.shuffle %[[B]], %[[NONE]] [8, 9, 0, 1, 2, 3, 4, 5]
// LANES8:         %[[D:.*]] = arith.mulf %[[C]], %[[B]]
// LANES8:         %[[E:.*]] = vector.shuffle %[[D]], %[[NONE]] [8, 9, 10, 11, 0, 1, 2, 3]
// LANES8:         %[[F:.*]] = arith.mulf %[[E]], %[[D]]
// LANES8:         %[[END:.*]] = vector.extract %[[F]][7]
// LANES8:         %[[BEFORE:.*]] = vector.broadcast %[[END]]
// LANES8:         arith.mulf %[[BEFORE]]
func.func private @scan(%x: tensor<1x16xf32>) -> tensor<1x16xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.to_buffer"(%x) : (tensor<1x16xf32>) -> memref<1x16xf32>
  %1 = memref.alloc() : memref<1x16xf32>
  "loop.parallel"() ({
    %2 = "loop.load_tile"(%0, %c0, %c0) {dims = array<i64: 0, 1>, operandSegmentSizes = array<i32: 1, 2, 0>, strides = array<i64: 1, 1>} : (memref<1x16xf32>, index, index) -> vector<1x16xf32>
    %3:2 = "loop.scan_tile"(%2) {kind = "prod"} : (vector<1x16xf32>) -> (vector<1x16xf32>, vector<1x1xf32>)
    "loop.store_tile"(%3#0, %1, %c0, %c0) {dims = array<i64: 0, 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i64: 1, 1>} : (vector<1x16xf32>, memref<1x16xf32>, index, index) -> ()
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = []} : () -> ()
  %4 = "loop.to_tensor"(%1) : (memref<1x16xf32>) -> tensor<1x16xf32>
  return %4 : tensor<1x16xf32>
}

// -----

// Whether anything is true, but for what is behind the row's end in the last vector.
// CHECK-LABEL: func.func private @any
// CHECK:         %[[INSIDE:.*]] = arith.constant dense<[true, true, true, false]> : vector<4xi1>
// CHECK:         %[[FIRST:.*]] = arith.cmpf olt, {{.*}} : vector<16xf32>
// CHECK:         %[[REST:.*]] = arith.cmpf olt, {{.*}} : vector<4xf32>
// CHECK:         %[[TRUE:.*]] = arith.andi %[[REST]], %[[INSIDE]]
// CHECK-DAG:     %[[A:.*]] = vector.reduction <or>, %[[FIRST]] : vector<16xi1> into i1
// CHECK-DAG:     %[[B:.*]] = vector.reduction <or>, %[[TRUE]] : vector<4xi1> into i1
// CHECK:         %[[ANY:.*]] = arith.ori %[[A]], %[[B]]
// CHECK:         scf.if %[[ANY]]
// LANES8-LABEL: func.func private @any
func.func private @any(%x: tensor<1x19xf32>) -> tensor<1x19xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %limit = arith.constant dense<3.0> : vector<1x19xf32>
  %0 = "loop.to_buffer"(%x) : (tensor<1x19xf32>) -> memref<1x19xf32>
  %1 = memref.alloc() : memref<1x19xf32>
  "loop.parallel"() ({
    %2 = "loop.load_tile"(%0, %c0, %c0) {dims = array<i64: 0, 1>, operandSegmentSizes = array<i32: 1, 2, 0>, strides = array<i64: 1, 1>} : (memref<1x19xf32>, index, index) -> vector<1x19xf32>
    %3 = arith.cmpf olt, %2, %limit : vector<1x19xf32>
    %4 = "loop.any_tile"(%3) : (vector<1x19xi1>) -> i1
    scf.if %4 {
      "loop.store_tile"(%2, %1, %c0, %c0) {dims = array<i64: 0, 1>, operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i64: 1, 1>} : (vector<1x19xf32>, memref<1x19xf32>, index, index) -> ()
    }
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = []} : () -> ()
  %5 = "loop.to_tensor"(%1) : (memref<1x19xf32>) -> tensor<1x19xf32>
  return %5 : tensor<1x19xf32>
}
