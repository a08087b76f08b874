// Causal and masked attention, between a projection with batch norm and products by a transposed matrix.
"graph.parameter"() {sym_name = "proj", type = tensor<6x4xf32>} : () -> ()
"graph.parameter"() {sym_name = "stat", type = tensor<4xf32>} : () -> ()
func.func @attention(%x: tensor<2x2x?x6xf32>, %mask: tensor<1x?xf32>) -> tensor<2x2x?x4xf32> {
  %w = "graph.load"() {symbol = @proj} : () -> tensor<6x4xf32>
  %stat = "graph.load"() {symbol = @stat} : () -> tensor<4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x2x?x6xf32>, tensor<6x4xf32>) -> tensor<2x2x?x4xf32>
  %1 = "graph.add"(%stat, %0) : (tensor<4xf32>, tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  %2 = "graph.batch_norm"(%1, %stat, %stat, %stat, %stat) {epsilon = 9.765625e-04 : f64, axis = 3 : i64}
    : (tensor<2x2x?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x2x?x4xf32>
  %3 = "graph.gelu"(%2) {approximate = "none"} : (tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  %4 = "graph.attention"(%2, %3, %2, %mask) {scale = 0.5 : f64, is_causal = true}
    : (tensor<2x2x?x4xf32>, tensor<2x2x?x4xf32>, tensor<2x2x?x4xf32>, tensor<1x?xf32>) -> tensor<2x2x?x4xf32>
  %5 = "graph.permute"(%3) {permutation = array<i64: 0, 1, 3, 2>} : (tensor<2x2x?x4xf32>) -> tensor<2x2x4x?xf32>
  %6 = "graph.batch_matmul"(%4, %5) {transpose_rhs = false}
    : (tensor<2x2x?x4xf32>, tensor<2x2x4x?xf32>) -> tensor<2x2x?x?xf32>
  %7 = "graph.tanh"(%6) : (tensor<2x2x?x?xf32>) -> tensor<2x2x?x?xf32>
  %8 = "graph.batch_matmul"(%7, %4) {transpose_rhs = false}
    : (tensor<2x2x?x?xf32>, tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  %9 = "graph.sin"(%8) : (tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  %10 = "graph.cos"(%8) : (tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  %11 = "graph.add"(%9, %10) : (tensor<2x2x?x4xf32>, tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32>
  return %11 : tensor<2x2x?x4xf32>
}
