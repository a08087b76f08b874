func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'graph.exp' op is no kernel; run require-kernels first, which says why}}
  %0 = "graph.exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{'func.func' op has a value of type tensor<?xf32>; hardware needs tensors of static shape}}
func.func @main(%x: tensor<?xf32>) {
  return
}
