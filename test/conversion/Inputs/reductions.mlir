func.func @main(%x: tensor<2x3x4x7x5xf32>, %i: tensor<4x4xi32>) -> (tensor<2x3x5xf32>, tensor<4xi32>) {
  %0 = "graph.reduce"(%x) {axes = array<i64: 2, 3>, keepdims = false, kind = "sum"} : (tensor<2x3x4x7x5xf32>) -> tensor<2x3x5xf32>
  %1 = "graph.reduce"(%i) {axes = array<i64: 0>, keepdims = false, kind = "sum"} : (tensor<4x4xi32>) -> tensor<4xi32>
  return %0, %1 : tensor<2x3x5xf32>, tensor<4xi32>
}
