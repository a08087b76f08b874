// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --cse --split-input-file %s | filecheck %s

// Four neighbours along the rows of 16 columns, which are runs of memory: words are transposed, and stored as they lie.
// CHECK-LABEL: func.func private @runs
// CHECK-COUNT-16: vector.load %arg0{{.*}} vector<64xi8>
// CHECK-COUNT-64: vector.shuffle {{.*}} : vector<16xi32>, vector<16xi32>
// CHECK-NOT:     vector.shuffle
// CHECK-COUNT-16: vector.store {{.*}} : memref<16x64xi8>, vector<64xi8>
func.func private @runs(%a: memref<16x64xi8>, %o: memref<16x64xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 1, 0, 1>, strides = array<i64: 4, 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<16x64xi8>, index, index) -> vector<16x16x4xi8>
  "loop.store_tile"(%0, %o, %c0, %c0) {dims = array<i64: 0, 1, 1>, strides = array<i64: 1, 4, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<16x16x4xi8>, memref<16x64xi8>, index, index) -> ()
  return
}

// -----

// Where rows are runs, four are interleaved; of the last group two are there, and zeros stand for the others.
// CHECK-LABEL: func.func private @rows
// CHECK-DAG:     %[[ZERO:.*]] = arith.constant dense<0> : vector<64xi8>
// CHECK:         %[[FIRST:.*]] = vector.load %arg0{{.*}} vector<64xi8>
// CHECK-NEXT:    %[[SECOND:.*]] = vector.load %arg0{{.*}} vector<64xi8>
// CHECK-NEXT:    vector.interleave %[[FIRST]], %[[SECOND]] : vector<64xi8>
// CHECK:         vector.interleave %[[ZERO]], %[[ZERO]] : vector<64xi8>
// CHECK:         vector.interleave {{.*}} : vector<64xi16>
// CHECK-COUNT-4: vector.store {{.*}} : memref<1x256xi8>, vector<64xi8>
func.func private @rows(%a: memref<6x64xi8>, %o: memref<1x256xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %0 = "loop.load_tile"(%a, %c4, %c0, %c1, %c64, %c2) {dims = array<i64: 0, 1, 0>, strides = array<i64: 4, 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 3>} : (memref<6x64xi8>, index, index, index, index, index) -> vector<1x64x4xi8>
  "loop.store_tile"(%0, %o, %c0, %c0) {dims = array<i64: 0, 1, 1>, strides = array<i64: 1, 4, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x64x4xi8>, memref<1x256xi8>, index, index) -> ()
  return
}
