// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --cse --split-input-file %s | filecheck %s

// A word of eight codes in each lane; what stands above one needs no mask, as the permute reads four bits.
// CHECK-LABEL: func.func private @numbers
// CHECK-DAG:     %[[TABLE:.*]] = arith.constant dense<[0.{{0*}}e+00, 1.{{0*}}e+00, {{.*}}7.{{0*}}e+00, -8.{{0*}}e+00, {{.*}}-1.{{0*}}e+00]> : vector<16xf32>
// CHECK-DAG:     %[[FOUR:.*]] = arith.constant dense<4> : vector<16xi32>
// CHECK:         %[[BYTES:.*]] = vector.load %{{.*}} : memref<1x64xi8>, vector<64xi8>
// CHECK:         %[[WORDS:.*]] = vector.bitcast %[[BYTES]] : vector<64xi8> to vector<16xi32>
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[TABLE]], %[[WORDS]])
// CHECK:         %[[NEXT:.*]] = arith.shrui %[[WORDS]], %[[FOUR]]
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[TABLE]], %[[NEXT]])
module attributes {terrace.target = {name = "cpu", features = ["avx512f"], cpu = {}}} {
  func.func private @numbers(%a: memref<1x16x4xi8>, %o: memref<8x16xf32>) attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %0 = "loop.load_tile"(%a, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
    %1 = "loop.unpack_tile"(%0) {bits = 4 : i64} : (vector<1x16x4xi8>) -> vector<8x16xf32>
    "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<8x16xf32>, memref<8x16xf32>, index, index) -> ()
    return
  }
}

// -----

// For an atom, code i and code i + 4 of a word beside each other: those of its halves.
// CHECK-LABEL: func.func private @pairs
// CHECK:         %[[HALVES:.*]] = vector.bitcast %{{.*}} : vector<64xi8> to vector<32xi16>
// CHECK:         %[[NUMBERS:.*]] = llvm.call_intrinsic "llvm.x86.avx512.permvar.hi.512"(%{{.*}}, %[[HALVES]])
// CHECK:         %[[PAIRS:.*]] = vector.bitcast %[[NUMBERS]] : vector<32xi16> to vector<32xbf16>
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%{{.*}}, %[[PAIRS]], %{{.*}})
module attributes {terrace.target = {name = "cpu", features = ["avx512f", "avx512bf16", "avx512bw", "avx512vl"], cpu = {}}} {
  func.func private @pairs(%x: memref<1x8xbf16>, %a: memref<1x16x4xi8>, %o: memref<1x16xf32>) attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %zero = arith.constant dense<0.0> : vector<1x16xf32>
    %0 = "loop.load_tile"(%x, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x8xbf16>, index, index) -> vector<1x8xbf16>
    %1 = "loop.load_tile"(%a, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
    %2 = "loop.unpack_tile"(%1) {bits = 4 : i64} : (vector<1x16x4xi8>) -> vector<4x16x2xbf16>
    %3 = "loop.contract_tile"(%0, %2, %zero) {atom = "bf16_dot"} : (vector<1x8xbf16>, vector<4x16x2xbf16>, vector<1x16xf32>) -> vector<1x16xf32>
    "loop.store_tile"(%3, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x16xf32>, memref<1x16xf32>, index, index) -> ()
    return
  }
}

// -----

// Without such permutes, here as no target is named, the sign comes down from the top of the word.
// CHECK-LABEL: func.func private @shifted
// CHECK-NOT:     llvm.call_intrinsic
// CHECK:         arith.shli %{{.*}} : vector<16xi32>
// CHECK:         arith.shrsi %{{.*}} : vector<16xi32>
// CHECK:         arith.sitofp %{{.*}} : vector<16xi32> to vector<16xf32>
func.func private @shifted(%a: memref<1x16x4xi8>, %o: memref<8x16xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %0 = "loop.load_tile"(%a, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x16x4xi8>, index, index, index) -> vector<1x16x4xi8>
  %1 = "loop.unpack_tile"(%0) {bits = 4 : i64} : (vector<1x16x4xi8>) -> vector<8x16xf32>
  "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<8x16xf32>, memref<8x16xf32>, index, index) -> ()
  return
}
