// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --cse %s | filecheck %s

// Sums begin as blocks of zeros, stay blocks while the loop runs, and are stored as such. Whole blocks of lhs and rhs
// come straight from memory: rows of lhs are 320 bytes apart, those of rhs 128.
// CHECK-LABEL: func.func private @whole
// CHECK-DAG:     %[[ROWS:.*]] = arith.constant 16 : i16
// CHECK-DAG:     %[[BYTES:.*]] = arith.constant 64 : i16
// CHECK-DAG:     %[[OF_LHS:.*]] = arith.constant 320 : i64
// CHECK-DAG:     %[[OF_RHS:.*]] = arith.constant 128 : i64
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.tilezero.internal"(%[[ROWS]], %[[BYTES]]) : (i16, i16) -> !llvm.x86_amx
// CHECK:         %[[SUMS:.*]]:2 = scf.for {{.*}} iter_args(%[[LEFT:.*]] = %{{.*}}, %[[RIGHT:.*]] = %{{.*}}) -> (!llvm.x86_amx, !llvm.x86_amx)
// CHECK:           %[[LHS:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[ROWS]], %[[BYTES]], %{{.*}}, %[[OF_LHS]])
// CHECK:           %[[FIRST:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[ROWS]], %[[BYTES]], %{{.*}}, %[[OF_RHS]])
// CHECK:           %[[SECOND:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[ROWS]], %[[BYTES]], %{{.*}}, %[[OF_RHS]])
// CHECK:           llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%[[ROWS]], %[[BYTES]], %[[BYTES]], %[[LEFT]], %[[LHS]], %[[FIRST]])
// CHECK:           llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%[[ROWS]], %[[BYTES]], %[[BYTES]], %[[RIGHT]], %[[LHS]], %[[SECOND]])
// CHECK:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"(%[[ROWS]], %[[BYTES]], %{{.*}}, %[[OF_RHS]], %[[SUMS]]#0)
// CHECK:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"(%[[ROWS]], %[[BYTES]], %{{.*}}, %[[OF_RHS]], %[[SUMS]]#1)
// CHECK-NOT:     vector.load
func.func private @whole(%a: memref<16x160xbf16>, %b: memref<80x32x2xbf16>, %o: memref<16x32xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c32 = arith.constant 32 : index
  %c160 = arith.constant 160 : index
  %zero = arith.constant dense<0.0> : vector<16x32xf32>
  %sums = scf.for %k = %c0 to %c160 step %c32 iter_args(%sum = %zero) -> (vector<16x32xf32>) {
    %group = arith.divui %k, %c2 : index
    %0 = "loop.load_tile"(%a, %c0, %k) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<16x160xbf16>, index, index) -> vector<16x32xbf16>
    %1 = "loop.load_tile"(%b, %group, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
      operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<80x32x2xbf16>, index, index, index) -> vector<16x32x2xbf16>
    %2 = "loop.contract_tile"(%0, %1, %sum) {atom = "amx_bf16"} : (vector<16x32xbf16>, vector<16x32x2xbf16>, vector<16x32xf32>) -> vector<16x32xf32>
    scf.yield %2 : vector<16x32xf32>
  }
  "loop.store_tile"(%sums, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<16x32xf32>, memref<16x32xf32>, index, index) -> ()
  return
}

// Five rows by six bytes are no block: they are stored into memory that was filled with zeros first. All are signed. The
// five rows of sums go through memory to become vectors.
// CHECK-LABEL: func.func private @part
// CHECK-DAG:     %[[ZERO:.*]] = arith.constant dense<0> : vector<64xi8>
// CHECK:         %[[RHS:.*]] = "loop.alloc"() : () -> memref<16x64xi8, "local">
// CHECK-COUNT-16: vector.store %[[ZERO]], %[[RHS]]
// CHECK:         %[[LHS:.*]] = "loop.alloc"() : () -> memref<16x64xi8, "local">
// CHECK-COUNT-16: vector.store %[[ZERO]], %[[LHS]]
// CHECK-COUNT-5: vector.maskedstore %[[LHS]]{{.*}} : memref<16x64xi8, "local">, vector<8xi1>, vector<8xi8>
// CHECK-NOT:     vector.maskedstore
// CHECK:         llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// CHECK-COUNT-2: vector.store %{{.*}}, %[[RHS]]
// CHECK:         llvm.call_intrinsic "llvm.x86.tdpbssd.internal"
// CHECK:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"
// CHECK-COUNT-5: vector.load %{{.*}} : memref<16x16xi32, "local">, vector<16xi32>
func.func private @part(%a: memref<5x6xi8>, %b: memref<2x16x4xi8>, %o: memref<5x16xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0> : vector<5x16xi32>
  %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<5x6xi8>, index, index) -> vector<5x6xi8>
  %1 = "loop.load_tile"(%b, %c0, %c0, %c0) {dims = array<i64: 0, 1, 2>, strides = array<i64: 1, 1, 1>,
    operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x16x4xi8>, index, index, index) -> vector<2x16x4xi8>
  %2 = "loop.contract_tile"(%0, %1, %zero) {atom = "amx_int8"} : (vector<5x6xi8>, vector<2x16x4xi8>, vector<5x16xi32>) -> vector<5x16xi32>
  "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
    operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<5x16xi32>, memref<5x16xi32>, index, index) -> ()
  return
}
