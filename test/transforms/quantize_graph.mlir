// RUN: terrace-opt %s --quantize-graph -split-input-file -verify-diagnostics | filecheck %s

// Ranges in, integers out. The scale of the input is 12.7 / 127; weights, bias, multipliers and shifts are expressions
// over the parameters.
// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[X:.*]]: tensor<2x8xf32>) -> tensor<2x4xf32>
// CHECK:         %[[SX:.*]] = arith.constant dense<1.000000e-01> : tensor<f32>
// CHECK:         %[[QX:.*]] = "graph.quantize"(%[[X]], %[[SX]]) : (tensor<2x8xf32>, tensor<f32>) -> tensor<2x8xi8>
// CHECK:         %[[QW:.*]] = "graph.quantize"(%{{.*}}) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xi8>
// CHECK:         %[[ACC:.*]] = "graph.matmul"(%[[QX]], %[[QW]]) {transpose_rhs = true} : (tensor<2x8xi8>, tensor<4x8xi8>) -> tensor<2x4xi32>
// CHECK:         %[[QB:.*]] = "graph.quantize"(%{{.*}}) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi32>
// CHECK:         %[[SUM:.*]] = "graph.add"(%[[ACC]], %[[QB]]) : (tensor<2x4xi32>, tensor<4xi32>) -> tensor<2x4xi32>
// CHECK:         %[[REQ:.*]] = "graph.requantize"(%[[SUM]], %{{.*}}, %{{.*}}) : (tensor<2x4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<2x4xi8>
// CHECK:         %[[Y:.*]] = "graph.relu"(%[[REQ]]) : (tensor<2x4xi8>) -> tensor<2x4xi8>
// CHECK:         %[[F:.*]] = "graph.dequantize"(%[[Y]]
// CHECK:         return %[[F]]
"graph.parameter"() {sym_name = "w", type = tensor<4x8xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<4xf32>} : () -> ()
func.func @linear(%x: tensor<2x8xf32> {graph.range = 12.7 : f64}) -> tensor<2x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x8xf32>
  %b = "graph.load"() {symbol = @b} : () -> tensor<4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  %1 = "graph.add"(%0, %b) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = "graph.relu"(%1) {graph.range = 25.4 : f64} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

// A sum of scales 1 and 2 in scale 4: quarters and halves. A tensor of zeros has scale 1.
// CHECK-LABEL: func.func @sum
// CHECK:         %[[SUM:.*]] = "graph.scaled_add"(%{{.*}}, %{{.*}}) {lhs_multiplier = 2097152 : i64, rhs_multiplier = 4194304 : i64, shift = 23 : i64} : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
// CHECK:         "graph.relu"(%[[SUM]]) : (tensor<4xi8>) -> tensor<4xi8>
// CHECK-NOT:     graph.range
func.func @sum(%x: tensor<4xf32> {graph.range = 0.0 : f64}, %y: tensor<4xf32> {graph.range = 254.0 : f64}) -> tensor<4xf32> {
  %0 = "graph.add"(%x, %y) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.relu"(%0) {graph.range = 508.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// A mean over 4 elements, of scale 1 to scale 0.5: sum / 2. Pools take the scale of their input.
// CHECK-LABEL: func.func @pools
// CHECK:         %[[MAX:.*]] = "graph.max_pool2d"(%{{.*}}) {{.*}} : (tensor<1x4x4x3xi8>) -> tensor<1x2x2x3xi8>
// CHECK:         %[[SUM:.*]] = "graph.sum_pool2d"(%[[MAX]]) {{.*}} : (tensor<1x2x2x3xi8>) -> tensor<1x1x1x3xi32>
// CHECK-DAG:     %[[M:.*]] = arith.constant dense<1073741824> : tensor<i32>
// CHECK-DAG:     %[[S:.*]] = arith.constant dense<31> : tensor<i32>
// CHECK:         "graph.requantize"(%[[SUM]], %[[M]], %[[S]])
func.func @pools(%x: tensor<1x4x4x3xf32> {graph.range = 127.0 : f64}) -> tensor<1x1x1x3xf32> {
  %0 = "graph.max_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xf32>
  %1 = "graph.avg_pool2d"(%0) {ceil_mode = false, count_include_pad = true, dilations = array<i64: 1, 1>, graph.range = 63.5 : f64, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x2x2x3xf32>) -> tensor<1x1x1x3xf32>
  return %1 : tensor<1x1x1x3xf32>
}

// -----

// What has no rule, and what is no float32, is left alone.
// CHECK-LABEL: func.func @others
// CHECK-NEXT:    %[[Y:.*]] = "graph.rsqrt"(%arg0) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[Z:.*]] = "graph.add"(%arg1, %arg1) : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
// CHECK-NEXT:    return %[[Y]], %[[Z]]
func.func @others(%x: tensor<4xf32>, %y: tensor<4xf64>) -> (tensor<4xf32>, tensor<4xf64>) {
  %0 = "graph.rsqrt"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.add"(%y, %y) : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
  return %0, %1 : tensor<4xf32>, tensor<4xf64>
}

// -----

func.func @unknown(%x: tensor<4xf32> {graph.range = 1.0 : f64}, %y: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'graph.add' op needs argument 1 (float32 4) in int8, which has no 'graph.range'; calibrate the model on samples}}
  %0 = "graph.add"(%x, %y) {graph.range = 1.0 : f64} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A sum of more products than i32 holds for certain stays in float, and so does one of an unknown number.
// CHECK-LABEL: func.func @wide
// CHECK:         %[[Y:.*]] = "graph.matmul"(%arg0, %{{.*}}) {transpose_rhs = true} : (tensor<1x66053xf32>, tensor<1x66053xf32>)
// CHECK:         "graph.matmul"(%arg1, %arg2) {transpose_rhs = false} : (tensor<2x?xf32>, tensor<?x2xf32>)
// CHECK-NEXT:    return %[[Y]],
"graph.parameter"() {sym_name = "w", type = tensor<1x66053xf32>} : () -> ()
func.func @wide(%x: tensor<1x66053xf32> {graph.range = 1.0 : f64}, %y: tensor<2x?xf32> {graph.range = 1.0 : f64}, %z: tensor<?x2xf32> {graph.range = 1.0 : f64}) -> (tensor<1x1xf32>, tensor<2x2xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<1x66053xf32>
  %0 = "graph.matmul"(%x, %w) {graph.range = 1.0 : f64, transpose_rhs = true} : (tensor<1x66053xf32>, tensor<1x66053xf32>) -> tensor<1x1xf32>
  %1 = "graph.matmul"(%y, %z) {graph.range = 1.0 : f64, transpose_rhs = false} : (tensor<2x?xf32>, tensor<?x2xf32>) -> tensor<2x2xf32>
  return %0, %1 : tensor<1x1xf32>, tensor<2x2xf32>
}

// -----

// A constant has a range of its own, also where its op would take over that of its operand.
// CHECK-LABEL: func.func @constants
// CHECK-DAG:     %[[P:.*]] = "graph.load"() {symbol = @p}
// CHECK-DAG:     %[[S:.*]] = "graph.slice"(%[[P]])
// CHECK-DAG:     %[[Q:.*]] = "graph.quantize"(%[[S]], %{{.*}}) : (tensor<4xf32>, tensor<f32>) -> tensor<4xi8>
// CHECK:         "graph.scaled_add"(%{{.*}}, %[[Q]])
"graph.parameter"() {sym_name = "p", type = tensor<9xf32>} : () -> ()
func.func @constants(%x: tensor<2x4xf32> {graph.range = 1.0 : f64}) -> tensor<2x4xf32> {
  %p = "graph.load"() {symbol = @p} : () -> tensor<9xf32>
  %s = "graph.slice"(%p) {graph.range = 2.0 : f64, starts = array<i64: 0>, steps = array<i64: 1>, stops = array<i64: 4>} : (tensor<9xf32>) -> tensor<4xf32>
  %0 = "graph.add"(%x, %s) {graph.range = 3.0 : f64} : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// A clamp between integers is a table of what it gives: -128 to -1 are 0, and the largest are 6.
// CHECK-LABEL: func.func @clamp
// CHECK:         %[[Q:.*]] = "graph.requantize"
// CHECK-NEXT:    %[[Y:.*]] = "graph.lookup"(%[[Q]]) {table = dense<"0x000000{{.*}}7E7F7F{{.*}}"> : tensor<256xi8>}
// CHECK:         "graph.reshape"(%[[Y]])
// CHECK-NOT:     graph.minimum
"graph.parameter"() {sym_name = "w", type = tensor<8x4xf32>} : () -> ()
func.func @clamp(%x: tensor<2x4xf32> {graph.range = 1.0 : f64}) -> tensor<2x8xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x4xf32>
  %zero = arith.constant dense<0.0> : tensor<f32>
  %six = arith.constant dense<6.0> : tensor<f32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true, graph.range = 9.0 : f64} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
  %1 = "graph.maximum"(%0, %zero) {graph.range = 9.0 : f64} : (tensor<2x8xf32>, tensor<f32>) -> tensor<2x8xf32>
  %2 = "graph.minimum"(%1, %six) {graph.range = 6.0 : f64} : (tensor<2x8xf32>, tensor<f32>) -> tensor<2x8xf32>
  %3 = "graph.reshape"(%2) : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %4 = "graph.gelu"(%3) {approximate = "none", graph.range = 6.0 : f64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return %4 : tensor<2x8xf32>
}
