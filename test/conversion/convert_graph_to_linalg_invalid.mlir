// RUN: terrace-opt --convert-graph-to-linalg --split-input-file --verify-diagnostics %s

func.func @integer_exp(%x: tensor<4xi32>) -> tensor<4xi32> {
  // expected-error @+1 {{'graph.exp' op is not defined on element type i32; cast its operands first}}
  %0 = "graph.exp"(%x) : (tensor<4xi32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// -----

func.func @integer_mean(%x: tensor<4xi32>) -> tensor<i32> {
  // expected-error @+1 {{'graph.reduce' op has no mean of element type i32; cast its operand to a float first}}
  %0 = "graph.reduce"(%x) {kind = "mean", axes = array<i64: 0>, keepdims = false} : (tensor<4xi32>) -> tensor<i32>
  return %0 : tensor<i32>
}
