// RUN: terrace-opt --lower-tiles-to-vector --canonicalize --split-input-file %s | filecheck %s

// A CPU with VBMI permutes the bytes of two registers, and no element is loaded.
// CHECK-LABEL: func.func private @short
// CHECK-NOT:     memref.load
// CHECK:         %[[PLACES:.*]] = arith.trunci %{{.*}} : vector<4xi32> to vector<4xi8>
// CHECK:         %[[WIDE:.*]] = vector.insert_strided_slice %[[PLACES]], %{{.*}} : vector<4xi8> into vector<64xi8>
// CHECK:         %[[FOUND:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.qi.512"(%{{.*}}, %[[WIDE]], %{{.*}})
// CHECK:         vector.extract_strided_slice %[[FOUND]]
// CHECK-NOT:     call_intrinsic
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vbmi"], name = "cpu", threads = 1 : i64}} {
  func.func private @short(%m: memref<4xi32>, %o: memref<4xi8>, %i: index) attributes {loop.kernel} {
    %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xi32>, index) -> vector<4xi32>
    %1 = "loop.lookup_tile"(%0) {table = dense<"0x0102030405060708090A0B0C0D0E0F10"> : tensor<16xi8>} : (vector<4xi32>) -> vector<4xi8>
    "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<4xi8>, memref<4xi8>, index) -> ()
    return
  }
}

// -----

// From 128 elements on there are two permutes and a choice; of the bytes of an i32, here the first and the third are not all zero.
// CHECK-LABEL: func.func private @long
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.qi.512"
// CHECK:         arith.select
// CHECK:         %[[LOW:.*]] = arith.extui %{{.*}} : vector<16xi8> to vector<16xi32>
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.qi.512"
// CHECK:         %[[HIGH:.*]] = arith.shli
// CHECK:         arith.ori %[[LOW]], %[[HIGH]]
// CHECK-NOT:     call_intrinsic
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vbmi"], name = "cpu", threads = 1 : i64}} {
  func.func private @long(%m: memref<16xi32>, %o: memref<16xi32>, %i: index) attributes {loop.kernel} {
    %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<16xi32>, index) -> vector<16xi32>
    %1 = "loop.lookup_tile"(%0) {table = dense<65537> : tensor<200xi32>} : (vector<16xi32>) -> vector<16xi32>
    "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<16xi32>, memref<16xi32>, index) -> ()
    return
  }
}
