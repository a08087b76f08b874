// RUN: terrace-opt --store-truth-as-bytes --split-input-file %s | FileCheck %s

// Truth values are bytes in memory, and in registers what they are: compared with 0 where read, 0 and 1 where written.
// CHECK-LABEL: func.func private @both
// CHECK:         %[[MASK:.*]] = "loop.to_buffer"(%arg0) : (tensor<8xi1>) -> memref<8xi8>
// CHECK:         %[[RESULT:.*]] = memref.alloc() : memref<8xi8>
// CHECK:           %[[BYTES:.*]] = "loop.load_tile"(%[[MASK]]
// CHECK-SAME:        -> vector<8xi8>
// CHECK:           %[[ZERO:.*]] = arith.constant dense<0> : vector<8xi8>
// CHECK-NEXT:      %[[TRUTH:.*]] = arith.cmpi ne, %[[BYTES]], %[[ZERO]]
// CHECK:           %[[LESS:.*]] = arith.cmpf olt
// CHECK-NEXT:      %[[AND:.*]] = arith.andi %[[TRUTH]], %[[LESS]] : vector<8xi1>
// CHECK-NEXT:      %[[STORED:.*]] = arith.extui %[[AND]] : vector<8xi1> to vector<8xi8>
// CHECK-NEXT:      "loop.store_tile"(%[[STORED]], %[[RESULT]]
// CHECK:         "loop.to_tensor"(%[[RESULT]]) : (memref<8xi8>) -> tensor<8xi1>
func.func private @both(%m: tensor<8xi1>, %x: tensor<8xf32>) -> tensor<8xi1> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.to_buffer"(%m) : (tensor<8xi1>) -> memref<8xi1>
  %1 = "loop.to_buffer"(%x) : (tensor<8xf32>) -> memref<8xf32>
  %alloc = memref.alloc() : memref<8xi1>
  "loop.parallel"() ({
    %2 = "loop.load_tile"(%0, %c0) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 0>}
      : (memref<8xi1>, index) -> vector<8xi1>
    %3 = "loop.load_tile"(%1, %c0) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 0>}
      : (memref<8xf32>, index) -> vector<8xf32>
    %4 = arith.cmpf olt, %3, %3 : vector<8xf32>
    %5 = arith.andi %2, %4 : vector<8xi1>
    "loop.store_tile"(%5, %alloc, %c0)
      {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 1, 0>}
      : (vector<8xi1>, memref<8xi1>, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = []} : () -> ()
  %6 = "loop.to_tensor"(%alloc) : (memref<8xi1>) -> tensor<8xi1>
  return %6 : tensor<8xi1>
}

// -----

// What is only moved stays bytes. Other types are left alone.
// CHECK-LABEL: func.func private @moved
// CHECK:           %[[BYTES:.*]] = "loop.load_tile"
// CHECK-SAME:        (memref<8xi8>, index) -> vector<8xi8>
// CHECK-NOT:       arith.ext
// CHECK:           "loop.store_tile"(%[[BYTES]]
// CHECK:           "loop.load_tile"({{.*}} (memref<8xf32>, index) -> vector<8xf32>
func.func private @moved(%m: tensor<8xi1>, %x: tensor<8xf32>) -> tensor<8xi1> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.to_buffer"(%m) : (tensor<8xi1>) -> memref<8xi1>
  %1 = "loop.to_buffer"(%x) : (tensor<8xf32>) -> memref<8xf32>
  %alloc = memref.alloc() : memref<8xi1>
  "loop.parallel"() ({
    %2 = "loop.load_tile"(%0, %c0) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 0>}
      : (memref<8xi1>, index) -> vector<8xi1>
    "loop.store_tile"(%2, %alloc, %c0)
      {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 1, 0>}
      : (vector<8xi1>, memref<8xi1>, index) -> ()
    %3 = "loop.load_tile"(%1, %c0) {dims = array<i64: 0>, strides = array<i64: 1>, operandSegmentSizes = array<i32: 1, 1, 0>}
      : (memref<8xf32>, index) -> vector<8xf32>
    "loop.yield"() : () -> ()
  }) {mapping = []} : () -> ()
  %4 = "loop.to_tensor"(%alloc) : (memref<8xi1>) -> tensor<8xi1>
  return %4 : tensor<8xi1>
}
