// RUN: terrace-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<4xf32>, %s: tensor<f32>) {
  // expected-error @below {{'graph.quantize' op result must have element type i8 or i16 or i32, got f32}}
  %0 = "graph.quantize"(%x, %s) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf64>, %s: tensor<f32>) {
  // expected-error @below {{'graph.quantize' op input must have element type f32, got f64}}
  %0 = "graph.quantize"(%x, %s) : (tensor<4xf64>, tensor<f32>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<3xf32>) {
  // expected-error @below {{'graph.quantize' op cannot broadcast shapes 4 and 3}}
  %0 = "graph.quantize"(%x, %s) : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi64>, %s: tensor<f32>) {
  // expected-error @below {{'graph.dequantize' op input must have element type i8 or i16 or i32, got i64}}
  %0 = "graph.dequantize"(%x, %s) : (tensor<4xi64>, tensor<f32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xi32>, %m: tensor<i32>, %s: tensor<i8>) {
  // expected-error @below {{'graph.requantize' op shift must have element type i32, got i8}}
  %0 = "graph.requantize"(%x, %m, %s) : (tensor<4xi32>, tensor<i32>, tensor<i8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>, %m: tensor<i32>, %s: tensor<i32>) {
  // expected-error @below {{'graph.requantize' op result must have element type i8 or i16 or i32, got i64}}
  %0 = "graph.requantize"(%x, %m, %s) : (tensor<4xi32>, tensor<i32>, tensor<i32>) -> tensor<4xi64>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %w: tensor<8x4xf32>) {
  // expected-error @below {{'graph.matmul' op operands have different element types: i8 and f32}}
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x8xi8>, tensor<8x4xf32>) -> tensor<4x4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %w: tensor<8x4xi8>) {
  // expected-error @below {{'graph.matmul' op result has element type i16, expected i8}}
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x8xi8>, tensor<8x4xi8>) -> tensor<4x4xi16>
  return
}

// -----

func.func @f(%x: tensor<1x16384x1x1xi8>, %w: tensor<4x16384x3x3xi8>) {
  // expected-error @below {{'graph.conv2d' op sums 147456 products of i8, which may overflow i32: 131071 is the limit}}
  %0 = "graph.conv2d"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x16384x1x1xi8>, tensor<4x16384x3x3xi8>) -> tensor<1x4x1x1xi32>
  return
}

// -----

func.func @f(%x: tensor<4xi8>, %y: tensor<4xi32>) {
  // expected-error @below {{'graph.scaled_add' op rhs must have element type i8, got i32}}
  %0 = "graph.scaled_add"(%x, %y) {lhs_multiplier = 1 : i64, rhs_multiplier = 1 : i64, shift = 1 : i64} : (tensor<4xi8>, tensor<4xi32>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi8>) {
  // expected-error @below {{'graph.scaled_add' op rhs_multiplier must be from -2^22 to 2^22, got -4194305}}
  %0 = "graph.scaled_add"(%x, %x) {lhs_multiplier = 1 : i64, rhs_multiplier = -4194305 : i64, shift = 1 : i64} : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi8>) {
  // expected-error @below {{'graph.scaled_add' op shift must be from 1 to 30, got 31}}
  %0 = "graph.scaled_add"(%x, %x) {lhs_multiplier = 1 : i64, rhs_multiplier = 1 : i64, shift = 31 : i64} : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<1x4x4x3xf32>) {
  // expected-error @below {{'graph.sum_pool2d' op input must have element type i8, got f32}}
  %0 = "graph.sum_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xi32>
  return
}

// -----

func.func @f(%x: tensor<4x4xi8>) {
  // expected-error @below {{'graph.reduce' op result has element type i32, expected i8}}
  %0 = "graph.reduce"(%x) {axes = array<i64: 1>, keepdims = false, kind = "max"} : (tensor<4x4xi8>) -> tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xi8>) {
  // expected-error @below {{'graph.lookup' op attribute 'table' must be dense and have 256 elements}}
  %0 = "graph.lookup"(%x) {table = dense<7> : tensor<128xi8>} : (tensor<4xi8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi8>) {
  // expected-error @below {{'graph.lookup' op result has element type i8, expected i32}}
  %0 = "graph.lookup"(%x) {table = dense<7> : tensor<256xi32>} : (tensor<4xi8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<4xi8>) {
  // expected-error @below {{'graph.integer_softmax' op attribute 'table' must go from 0 to 65536 and end with that}}
  %0 = "graph.integer_softmax"(%x) {axis = 0 : i64, table = dense<0> : tensor<256xi32>} : (tensor<4xi8>) -> tensor<4xi8>
  return
}

// -----

func.func @f(%x: tensor<32768xi8>) {
  // expected-error @below {{'graph.integer_softmax' op sums 32768 exponentials, 32767 is the limit}}
  %0 = "graph.integer_softmax"(%x) {axis = 0 : i64, table = dense<65536> : tensor<256xi32>} : (tensor<32768xi8>) -> tensor<32768xi8>
  return
}

// -----

func.func @f(%x: tensor<2x4097xi8>) {
  // expected-error @below {{'graph.integer_layer_norm' op a row must have from 1 to 4096 elements, got 4097}}
  %0 = "graph.integer_layer_norm"(%x) {dims = 1 : i64, epsilon = 0 : i64} : (tensor<2x4097xi8>) -> tensor<2x4097xi32>
  return
}

// -----

func.func @f(%x: tensor<2x8xi8>) {
  // expected-error @below {{'graph.integer_layer_norm' op epsilon must be from 0 to 2^44, got -1}}
  %0 = "graph.integer_layer_norm"(%x) {dims = 1 : i64, epsilon = -1 : i64} : (tensor<2x8xi8>) -> tensor<2x8xi32>
  return
}

// -----

func.func @f(%x: tensor<2x8xi8>) {
  // expected-error @below {{'graph.integer_layer_norm' op dims must be from 1 to 2, got 3}}
  %0 = "graph.integer_layer_norm"(%x) {dims = 3 : i64, epsilon = 0 : i64} : (tensor<2x8xi8>) -> tensor<2x8xi32>
  return
}
