// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels)' --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels,convert-kernel-to-loop,lower-tiles-to-vector)' \
// RUN:   --split-input-file %s | filecheck %s --check-prefix=VECTOR

// Scores of attention in int8: each worker packs the keys of a head for the atom, and multiplies all queries by them.
// CHECK-LABEL: func.func private @batch_matmul_12x197x197(
// CHECK:         schedule = {atom = "int8_dot", cuts = [{enters = {rhs = {pack_with_sums = {inner_dims = array<i64: 1, 2>, inner_tiles = array<i64: [[WIDTH:[0-9]+]], 4>,
// CHECK-SAME:    outer_permutation = array<i64: 0, 1, 2>}}}, memory = "local"
// VECTOR-LABEL: func.func private @batch_matmul_12x197x197(
// VECTOR:        vector.shuffle
// VECTOR:        llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// VECTOR-NOT:    arith.muli {{.*}} : vector<16xi32>
// VECTOR:        return
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vl", "avx512vnni"], name = "cpu", threads = 1 : i64}} {
  func.func @main(%q: tensor<12x197x64xi8>, %k: tensor<12x197x64xi8>) -> tensor<12x197x197xi32> {
    %0 = "graph.batch_matmul"(%q, %k) {transpose_rhs = true} : (tensor<12x197x64xi8>, tensor<12x197x64xi8>) -> tensor<12x197x197xi32>
    return %0 : tensor<12x197x197xi32>
  }
}

// -----

// Values, whose rows are interleaved.
// CHECK-LABEL: func.func private @batch_matmul_12x197x64(
// CHECK:         schedule = {atom = "int8_dot", cuts = [{enters = {rhs = {pack_with_sums = {inner_dims = array<i64: 2, 1>
// CHECK-SAME:    outer_permutation = array<i64: 0, 2, 1>}}}, memory = "local"
// VECTOR-LABEL: func.func private @batch_matmul_12x197x64(
// VECTOR:        vector.interleave
// VECTOR:        llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// VECTOR-NOT:    arith.muli {{.*}} : vector<16xi32>
// VECTOR:        return
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vl", "avx512vnni"], name = "cpu", threads = 1 : i64}} {
  func.func @main(%p: tensor<12x197x197xi8>, %v: tensor<12x197x64xi8>) -> tensor<12x197x64xi32> {
    %0 = "graph.batch_matmul"(%p, %v) {transpose_rhs = false} : (tensor<12x197x197xi8>, tensor<12x197x64xi8>) -> tensor<12x197x64xi32>
    return %0 : tensor<12x197x64xi32>
  }
}

// -----

// One row does not pay for it; nor is it known for `?` columns.
// CHECK-NOT:     atom
// CHECK-LABEL: func.func @main
// CHECK-NOT:     atom
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vl", "avx512vnni"], name = "cpu", threads = 1 : i64}} {
  func.func @main(%q: tensor<1x64xi8>, %k: tensor<64x64xi8>, %r: tensor<9x64xi8>, %s: tensor<?x64xi8>) -> (tensor<1x64xi32>, tensor<9x?xi32>) {
    %0 = "graph.matmul"(%q, %k) {transpose_rhs = true} : (tensor<1x64xi8>, tensor<64x64xi8>) -> tensor<1x64xi32>
    %1 = "graph.matmul"(%r, %s) {transpose_rhs = true} : (tensor<9x64xi8>, tensor<?x64xi8>) -> tensor<9x?xi32>
    return %0, %1 : tensor<1x64xi32>, tensor<9x?xi32>
  }
}
