// RUN: terrace-opt --pass-pipeline='fuse-decode{generators=encoded_matmul}' %s | filecheck %s
// RUN: terrace-opt --fuse-decode %s | filecheck %s --check-prefix=NONE

// What is stored is multiplied. Where no kernel can, which is so on most targets, the decoded weight is a constant.
// CHECK-LABEL: func.func @stored
// CHECK-DAG:     %[[C:.*]] = "graph.load"() {symbol = @codes}
// CHECK-DAG:     %[[S:.*]] = "graph.load"() {symbol = @scales}
// CHECK:         %[[Y:.*]] = "graph.encoded_matmul"(%arg0, %[[C]], %[[S]]) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
// CHECK-NOT:     graph.decode
// CHECK:         return %[[Y]]
// NONE-LABEL: func.func @stored
// NONE:         graph.decode
// NONE:         graph.matmul
"graph.parameter"() {sym_name = "codes", type = tensor<4x32xi8>} : () -> ()
"graph.parameter"() {sym_name = "scales", type = tensor<4x2xf32>} : () -> ()
"graph.parameter"() {sym_name = "bytes", type = tensor<64x4xi8>} : () -> ()
func.func @stored(%x: tensor<2x64xf32>) -> tensor<2x4xf32> {
  %c = "graph.load"() {symbol = @codes} : () -> tensor<4x32xi8>
  %s = "graph.load"() {symbol = @scales} : () -> tensor<4x2xf32>
  %w = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x32xi8>, tensor<4x2xf32>) -> tensor<4x64xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x64xf32>, tensor<4x64xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// Integers that are cast: scales of one.
// CHECK-LABEL: func.func @cast
// CHECK:         %[[ONES:.*]] = arith.constant dense<1.{{0*}}e+00> : tensor<1x4xf32>
// CHECK:         "graph.encoded_matmul"(%arg0, %{{.*}}, %[[ONES]]) {encoding = {int8_groups = {axis = 0 : i64, group = 64 : i64}}, transpose_rhs = false}
func.func @cast(%x: tensor<2x64xf32>) -> tensor<2x4xf32> {
  %c = "graph.load"() {symbol = @bytes} : () -> tensor<64x4xi8>
  %w = "graph.cast"(%c) : (tensor<64x4xi8>) -> tensor<64x4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x64xf32>, tensor<64x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// An argument is no weight, which could be packed ahead. Groups of 8 are smaller than what a kernel decodes together.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     graph.encoded_matmul
func.func @others(%x: tensor<2x64xf32>, %c: tensor<4x32xi8>, %s: tensor<4x2xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %w = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x32xi8>, tensor<4x2xf32>) -> tensor<4x64xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x64xf32>, tensor<4x64xf32>) -> tensor<2x4xf32>
  %k = "graph.load"() {symbol = @codes} : () -> tensor<4x32xi8>
  %e:2 = "graph.encode"(%w) {encoding = {int4_groups = {axis = 1 : i64, group = 8 : i64}}} : (tensor<4x64xf32>) -> (tensor<4x32xi8>, tensor<4x8xf32>)
  %v = "graph.decode"(%k, %e#1) {encoding = {int4_groups = {axis = 1 : i64, group = 8 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x32xi8>, tensor<4x8xf32>) -> tensor<4x64xf32>
  %1 = "graph.matmul"(%x, %v) {transpose_rhs = true} : (tensor<2x64xf32>, tensor<4x64xf32>) -> tensor<2x4xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x4xf32>
}

// A group is decoded 16 elements at a time: one of 24 is refused by the kernel.
// CHECK-LABEL: func.func @refused
// CHECK-NOT:     graph.encoded_matmul
// CHECK:         graph.decode
// CHECK:         graph.matmul
"graph.parameter"() {sym_name = "codes24", type = tensor<4x24xi8>} : () -> ()
"graph.parameter"() {sym_name = "scales24", type = tensor<4x2xf32>} : () -> ()
func.func @refused(%x: tensor<2x48xf32>) -> tensor<2x4xf32> {
  %c = "graph.load"() {symbol = @codes24} : () -> tensor<4x24xi8>
  %s = "graph.load"() {symbol = @scales24} : () -> tensor<4x2xf32>
  %w = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 24 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x24xi8>, tensor<4x2xf32>) -> tensor<4x48xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x48xf32>, tensor<4x48xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}
