// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --cse %s | filecheck %s

// Two neighbours of lhs for all lanes, two for each lane of rhs; the last one along k stands alone, above it zeros.
// CHECK-LABEL: func.func private @steps
// CHECK-DAG:     %[[PAIR:.*]] = vector.load %arg0[%{{.*}}, %{{.*}}] : memref<1x3xbf16>, vector<2xbf16>
// CHECK-DAG:     vector.load %{{.*}} : memref<2x32xbf16>, vector<32xbf16>
// CHECK:         %[[WORD:.*]] = vector.bitcast %[[PAIR]] : vector<2xbf16> to vector<1xi32>
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"({{.*}}) : (vector<16xf32>, vector<32xbf16>, vector<32xbf16>)
// CHECK:         llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT:     llvm.call_intrinsic
func.func private @steps(%a: memref<1x3xbf16>, %b: memref<2x16x2xbf16>, %o: memref<1x16xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : vector<1x16xf32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x3xbf16>, index, index) -> vector<1x3xbf16>
  %1 = "loop.load_tile"(%b, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x16x2xbf16>, index, index, index) -> vector<2x16x2xbf16>
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "bf16_dot"} : (vector<1x3xbf16>, vector<2x16x2xbf16>, vector<1x16xf32>) -> vector<1x16xf32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x16xf32>, memref<1x16xf32>, index, index) -> ()
  return
}
