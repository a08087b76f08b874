// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-vector{lanes=4},canonicalize)' --split-input-file %s | filecheck %s --check-prefix=LANES4

// Four registers are limited where a factor reaches one, multiplied in float64, packed by saturating twice, and stored as one.
// CHECK-LABEL: func.func private @packed
// CHECK:         vector.reduction <or>
// CHECK:         scf.if
// CHECK-COUNT-8: math.fma {{.*}} : vector<8xf64>
// CHECK-NOT:     arith.muli
// CHECK-COUNT-2: "llvm.x86.avx512.packssdw.512"
// CHECK:         "llvm.x86.avx512.packsswb.512"
// CHECK:         "llvm.x86.avx512.permvar.si.512"
// CHECK:         vector.store %{{.*}} : memref<64xi8>, vector<64xi8>

// Narrower vectors are packed by what a compiler makes of a saturation.
// LANES4-LABEL: func.func private @packed
// LANES4-COUNT-32: math.fma {{.*}} : vector<2xf64>
// LANES4-NOT:   call_intrinsic
// LANES4-COUNT-4: vector.store %{{.*}} : memref<64xi8>, vector<16xi8>
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f"], name = "cpu", threads = 1 : i64}} {
  func.func private @packed(%m: memref<64xi32>, %o: memref<64xi8>, %i: index) attributes {loop.kernel} {
    %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<64xi32>, index) -> vector<64xi32>
    %1 = "loop.requantize_tile"(%0, %0, %0) : (vector<64xi32>, vector<64xi32>, vector<64xi32>) -> vector<64xi8>
    "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<64xi8>, memref<64xi8>, index) -> ()
    return
  }
}

// -----

// Without multiply-adds the steps are those in i64.
// CHECK-LABEL: func.func private @steps
// CHECK-NOT:     math.fma
// CHECK:         arith.muli {{.*}} : vector<64xi64>
// CHECK:         vector.store %{{.*}} : memref<64xi8>, vector<64xi8>
  func.func private @steps(%m: memref<64xi32>, %o: memref<64xi8>, %i: index) attributes {loop.kernel} {
    %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<64xi32>, index) -> vector<64xi32>
    %1 = "loop.requantize_tile"(%0, %0, %0) : (vector<64xi32>, vector<64xi32>, vector<64xi32>) -> vector<64xi8>
    "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<64xi8>, memref<64xi8>, index) -> ()
    return
  }
