// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=matmul},schedule-kernels{vector-bits=512 vector-registers=32 workers=1})' %s | filecheck %s

// A weight that two kernels read has the layout of the one that does more: blocks of 48 columns. Alone, the row would
// have blocks of 64, as @alone has.
// CHECK:       func.func private @matmul_1x128(
// CHECK-NEXT:    {{.*}}inner_tiles = array<i64: 64>
// CHECK:       func.func private @matmul_1x768(
// CHECK-NEXT:    {{.*}}inner_tiles = array<i64: 48>
// CHECK:       func.func private @matmul_16x768(
// CHECK-NEXT:    {{.*}}inner_tiles = array<i64: 48>
"graph.parameter"() {sym_name = "w", type = tensor<768x768xf32>} : () -> ()
"graph.parameter"() {sym_name = "v", type = tensor<128x768xf32>} : () -> ()
func.func @prompt(%x: tensor<16x768xf32>) -> tensor<16x768xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<768x768xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<16x768xf32>, tensor<768x768xf32>) -> tensor<16x768xf32>
  return %0 : tensor<16x768xf32>
}
func.func @next(%x: tensor<1x768xf32>) -> tensor<1x768xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<768x768xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<1x768xf32>, tensor<768x768xf32>) -> tensor<1x768xf32>
  return %0 : tensor<1x768xf32>
}
func.func @alone(%x: tensor<1x768xf32>) -> tensor<1x128xf32> {
  %v = "graph.load"() {symbol = @v} : () -> tensor<128x768xf32>
  %0 = "graph.matmul"(%x, %v) {transpose_rhs = true} : (tensor<1x768xf32>, tensor<128x768xf32>) -> tensor<1x128xf32>
  return %0 : tensor<1x128xf32>
}
