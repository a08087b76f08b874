// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --cse --split-input-file %s | filecheck %s

// Four neighbours of lhs for all lanes, four for each lane of rhs. Of 6 along k, the last two fill a step with zeros; of
// 17 columns the last one, which is held in two lanes, is widened to the four of the narrowest step.
// CHECK-LABEL: func.func private @steps
// CHECK-DAG:     %[[PACKED:.*]] = memref.collapse_shape %arg1 {{\[\[}}0], [1, 2]] : memref<2x17x4xi8> into memref<2x68xi8>
// CHECK-DAG:     vector.load %[[PACKED]][%{{.*}}, %{{.*}}] : memref<2x68xi8>, vector<64xi8>
// CHECK-DAG:     %[[FIRST:.*]] = vector.load %arg0[%{{.*}}, %{{.*}}] : memref<1x6xi8>, vector<4xi8>
// CHECK-DAG:     %[[REST:.*]] = vector.maskedload %arg0{{.*}} : memref<1x6xi8>, vector<4xi1>, vector<4xi8> into vector<4xi8>
// CHECK-DAG:     arith.xori %[[FIRST]]
// CHECK-DAG:     arith.xori %[[REST]]
// CHECK:         %[[WORDS:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK-NEXT:    %[[LHS:.*]] = vector.bitcast %[[WORDS]] : vector<16xi32> to vector<64xi8>
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%{{.*}}, %[[LHS]], %{{.*}}) : (vector<16xi32>, vector<64xi8>, vector<64xi8>)
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.128"({{.*}}) : (vector<4xi32>, vector<16xi8>, vector<16xi8>)
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.128"
// CHECK-NOT:     llvm.call_intrinsic
func.func private @steps(%a: memref<1x6xi8>, %b: memref<2x17x4xi8>, %o: memref<1x17xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %first = "loop.load_tile"(%o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x17xi32>, index, index) -> vector<1x17xi32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x6xi8>, index, index) -> vector<1x6xi8>
  %flip = arith.constant dense<-128> : vector<1x6xi8>
  %1 = arith.xori %0, %flip : vector<1x6xi8>
  %2 = "loop.load_tile"(%b, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x17x4xi8>, index, index, index) -> vector<2x17x4xi8>
  %3 = "loop.contract_tile"(%1, %2, %first) {atom = "int8_dot", unsigned_lhs}
    : (vector<1x6xi8>, vector<2x17x4xi8>, vector<1x17xi32>) -> vector<1x17xi32>
  "loop.store_tile"(%3, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x17xi32>, memref<1x17xi32>, index, index) -> ()
  return
}

// -----

// The bytes of three rows, and of none, stand side by side for each of 20 channels, which are whole registers first.
// CHECK-LABEL: func.func private @rows
// CHECK-COUNT-3: vector.maskedload %arg0{{.*}} vector<32xi8>
// CHECK-COUNT-2: vector.interleave {{.*}} : vector<32xi8>
// CHECK:         vector.interleave {{.*}} : vector<32xi16>
// CHECK:         %[[WORDS:.*]] = vector.bitcast %{{.*}} : vector<64xi16> to vector<32xi32>
// CHECK-DAG:     vector.extract_strided_slice %[[WORDS]] {offsets = [0], sizes = [16], strides = [1]}
// CHECK-DAG:     vector.extract_strided_slice %[[WORDS]] {offsets = [16], sizes = [4], strides = [1]}
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.128"
// CHECK-NOT:     llvm.call_intrinsic
func.func private @rows(%a: memref<3x20xi8>, %b: memref<20x4xi8>, %o: memref<1x20xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %first = "loop.load_tile"(%o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x20xi32>, index, index) -> vector<1x20xi32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<3x20xi8>, index, index) -> vector<1x20xi8>
  %1 = "loop.load_tile"(%a, %c1, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<3x20xi8>, index, index) -> vector<1x20xi8>
  %2 = "loop.load_tile"(%a, %c2, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<3x20xi8>, index, index) -> vector<1x20xi8>
  %3 = "loop.load_tile"(%b, %c0, %c0) {dims = array<i64: -1, 0, 1>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<20x4xi8>, index, index) -> vector<1x20x4xi8>
  %4 = "loop.dot_tile"(%first, %3, %0, %1, %2) {atom = "int8_dot"}
    : (vector<1x20xi32>, vector<1x20x4xi8>, vector<1x20xi8>, vector<1x20xi8>, vector<1x20xi8>) -> vector<1x20xi32>
  "loop.store_tile"(%4, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x20xi32>, memref<1x20xi32>, index, index) -> ()
  return
}
