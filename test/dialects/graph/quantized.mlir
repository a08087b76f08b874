// RUN: terrace-opt %s | terrace-opt | filecheck %s

// The ops of quantised arithmetic print what they parsed.

// CHECK-LABEL: func.func @casts
func.func @casts(%x: tensor<?x4xf32>, %s: tensor<4xf32>) -> (tensor<?x4xi8>, tensor<?x4xf32>) {
  // CHECK: "graph.quantize"(%arg0, %arg1) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xi8>
  %0 = "graph.quantize"(%x, %s) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xi8>
  // CHECK: "graph.dequantize"(%{{.*}}, %arg1) : (tensor<?x4xi8>, tensor<4xf32>) -> tensor<?x4xf32>
  %1 = "graph.dequantize"(%0, %s) : (tensor<?x4xi8>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x4xi8>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @linear
func.func @linear(%x: tensor<2x8xi8>, %w: tensor<4x8xi8>, %m: tensor<4xi32>, %s: tensor<4xi32>) -> tensor<2x4xi8> {
  // CHECK: "graph.matmul"(%arg0, %arg1) {transpose_rhs = true} : (tensor<2x8xi8>, tensor<4x8xi8>) -> tensor<2x4xi32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x8xi8>, tensor<4x8xi8>) -> tensor<2x4xi32>
  // CHECK: "graph.requantize"(%{{.*}}, %arg2, %arg3) : (tensor<2x4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<2x4xi8>
  %1 = "graph.requantize"(%0, %m, %s) : (tensor<2x4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<2x4xi8>
  return %1 : tensor<2x4xi8>
}
