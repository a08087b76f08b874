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

// CHECK-LABEL: func.func @sums
func.func @sums(%x: tensor<1x4x4x3xi8>) -> (tensor<1x4x4x3xi8>, tensor<1x2x2x3xi32>, tensor<1x4x4xi32>) {
  // CHECK: "graph.scaled_add"(%arg0, %arg0) {lhs_multiplier = 3 : i64, rhs_multiplier = -5 : i64, shift = 2 : i64}
  %0 = "graph.scaled_add"(%x, %x) {lhs_multiplier = 3 : i64, rhs_multiplier = -5 : i64, shift = 2 : i64} : (tensor<1x4x4x3xi8>, tensor<1x4x4x3xi8>) -> tensor<1x4x4x3xi8>
  // CHECK: "graph.sum_pool2d"(%arg0)
  // CHECK-SAME: (tensor<1x4x4x3xi8>) -> tensor<1x2x2x3xi32>
  %1 = "graph.sum_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x4x4x3xi8>) -> tensor<1x2x2x3xi32>
  // CHECK: "graph.reduce"(%arg0)
  // CHECK-SAME: (tensor<1x4x4x3xi8>) -> tensor<1x4x4xi32>
  %2 = "graph.reduce"(%x) {axes = array<i64: 3>, keepdims = false, kind = "sum"} : (tensor<1x4x4x3xi8>) -> tensor<1x4x4xi32>
  return %0, %1, %2 : tensor<1x4x4x3xi8>, tensor<1x2x2x3xi32>, tensor<1x4x4xi32>
}

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<?x4xi8>) -> (tensor<?x4xi8>, tensor<?x4xi8>, tensor<?x4xi32>) {
  // CHECK: "graph.lookup"(%arg0) {table = dense<7> : tensor<256xi8>} : (tensor<?x4xi8>) -> tensor<?x4xi8>
  %0 = "graph.lookup"(%x) {table = dense<7> : tensor<256xi8>} : (tensor<?x4xi8>) -> tensor<?x4xi8>
  // CHECK: "graph.integer_softmax"(%arg0) {axis = 1 : i64, table = dense<65536> : tensor<256xi32>}
  %1 = "graph.integer_softmax"(%x) {axis = 1 : i64, table = dense<65536> : tensor<256xi32>} : (tensor<?x4xi8>) -> tensor<?x4xi8>
  // CHECK: "graph.integer_layer_norm"(%arg0) {dims = 1 : i64, epsilon = 5 : i64} : (tensor<?x4xi8>) -> tensor<?x4xi32>
  %2 = "graph.integer_layer_norm"(%x) {dims = 1 : i64, epsilon = 5 : i64} : (tensor<?x4xi8>) -> tensor<?x4xi32>
  return %0, %1, %2 : tensor<?x4xi8>, tensor<?x4xi8>, tensor<?x4xi32>
}
