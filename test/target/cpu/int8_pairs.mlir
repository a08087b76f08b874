// RUN: terrace-opt --lower-tiles-to-vector=lanes=8 --canonicalize --cse %s | filecheck %s

// Even and odd bytes are widened, those of lhs without and those of rhs with a sign; products of neighbours are added.
// CHECK-LABEL: func.func private @step
// CHECK-DAG:     %[[BYTE:.*]] = arith.constant dense<8> : vector<16xi16>
// CHECK-DAG:     %[[LOW:.*]] = arith.constant dense<255> : vector<16xi16>
// CHECK:         %[[LHS:.*]] = llvm.bitcast %{{.*}} : vector<32xi8> to vector<16xi16>
// CHECK:         %[[RHS:.*]] = llvm.bitcast %{{.*}} : vector<32xi8> to vector<16xi16>
// CHECK-DAG:     %[[EVEN_LHS:.*]] = arith.andi %[[LHS]], %[[LOW]]
// CHECK-DAG:     %[[UP:.*]] = arith.shli %[[RHS]], %[[BYTE]]
// CHECK-DAG:     %[[EVEN_RHS:.*]] = arith.shrsi %[[UP]], %[[BYTE]]
// CHECK-DAG:     %[[ODD_LHS:.*]] = arith.shrui %[[LHS]], %[[BYTE]]
// CHECK-DAG:     %[[ODD_RHS:.*]] = arith.shrsi %[[RHS]], %[[BYTE]]
// CHECK-DAG:     llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[EVEN_LHS]], %[[EVEN_RHS]]) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>
// CHECK-DAG:     llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[ODD_LHS]], %[[ODD_RHS]])
func.func private @step(%a: memref<1x4xi8>, %b: memref<1x8x4xi8>, %o: memref<1x8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0> : vector<1x8xi32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x4xi8>, index, index) -> vector<1x4xi8>
  %1 = "loop.load_tile"(%b, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<1x8x4xi8>, index, index, index) -> vector<1x8x4xi8>
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "int8_pairs", unsigned_lhs} : (vector<1x4xi8>, vector<1x8x4xi8>, vector<1x8xi32>) -> vector<1x8xi32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x8xi32>, memref<1x8xi32>, index, index) -> ()
  return
}
