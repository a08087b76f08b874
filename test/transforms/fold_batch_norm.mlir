// RUN: terrace-opt --fold-batch-norm --cse --split-input-file %s | filecheck %s

// The weight takes the scale of each output channel, the rest becomes a bias of shape [O, 1, 1].
// CHECK-LABEL: func.func @conv2d
// CHECK-DAG:     %[[W:.*]] = "graph.load"() {symbol = @w}
// CHECK-DAG:     %[[S:.*]] = "graph.load"() {symbol = @s}
// CHECK:         %[[SUM:.*]] = "graph.add"(%[[S]], %{{.*}}) : (tensor<4xf32>, tensor<f32>)
// CHECK:         %[[R:.*]] = "graph.rsqrt"(%[[SUM]])
// CHECK:         %[[K:.*]] = "graph.mul"(%[[S]], %[[R]])
// CHECK:         %[[MEAN:.*]] = "graph.mul"(%[[S]], %[[K]])
// CHECK:         %[[SHIFT:.*]] = "graph.sub"(%[[S]], %[[MEAN]])
// CHECK:         %[[COLUMN:.*]] = "graph.reshape"(%[[K]]) : (tensor<4xf32>) -> tensor<4x1x1x1xf32>
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[W]], %[[COLUMN]])
// CHECK:         %[[CONV:.*]] = "graph.conv2d"(%arg0, %[[SCALED]]) {{.*}}strides = array<i64: 2, 2>
// CHECK:         %[[BIAS:.*]] = "graph.reshape"(%[[SHIFT]]) : (tensor<4xf32>) -> tensor<4x1x1xf32>
// CHECK:         %[[Y:.*]] = "graph.add"(%[[CONV]], %[[BIAS]])
// CHECK:         return %[[Y]]
"graph.parameter"() {sym_name = "w", type = tensor<4x3x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<4xf32>} : () -> ()
func.func @conv2d(%x: tensor<?x3x9x?xf32>) -> tensor<?x4x4x?xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x3x3x3xf32>
  %s = "graph.load"() {symbol = @s} : () -> tensor<4xf32>
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x3x9x?xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x4x?xf32>
  %1 = "graph.batch_norm"(%0, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<?x4x4x?xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x4x?xf32>
  return %1 : tensor<?x4x4x?xf32>
}

// -----

// A bias in between is part of the shift; the rows of a transposed weight are its output channels.
// CHECK-LABEL: func.func @matmul_with_bias
// CHECK:         %[[CENTRED:.*]] = "graph.sub"(%{{.*}}, %[[S:.*]]) : (tensor<4xf32>, tensor<4xf32>)
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[CENTRED]],
// CHECK:         %[[SHIFT:.*]] = "graph.add"(%[[SCALED]], %[[S]])
// CHECK:         %[[W:.*]] = "graph.mul"({{.*}}) : (tensor<4x8xf32>, tensor<4x1xf32>)
// CHECK:         %[[Y:.*]] = "graph.matmul"(%arg0, %[[W]]) {transpose_rhs = true}
// CHECK-NEXT:    "graph.add"(%[[Y]], %[[SHIFT]])
"graph.parameter"() {sym_name = "w", type = tensor<4x8xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<1x4xf32>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<4xf32>} : () -> ()
func.func @matmul_with_bias(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x8xf32>
  %b = "graph.load"() {symbol = @b} : () -> tensor<1x4xf32>
  %s = "graph.load"() {symbol = @s} : () -> tensor<4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %1 = "graph.add"(%b, %0) : (tensor<1x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.batch_norm"(%1, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %2 : tensor<?x4xf32>
}

// -----

// The product has another user, who wants it unscaled: it stays, and two elementwise ops follow.
// CHECK-LABEL: func.func @second_user
// CHECK:         %[[Y:.*]] = "graph.matmul"(%arg0, %{{.*}}) {transpose_rhs = false}
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[Y]], %{{.*}}) : (tensor<?x4xf32>, tensor<4xf32>)
// CHECK:         %[[NORM:.*]] = "graph.add"(%[[SCALED]], %{{.*}})
// CHECK:         return %[[Y]], %[[NORM]]
"graph.parameter"() {sym_name = "w", type = tensor<8x4xf32>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<4xf32>} : () -> ()
func.func @second_user(%x: tensor<?x8xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x4xf32>
  %s = "graph.load"() {symbol = @s} : () -> tensor<4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.batch_norm"(%0, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// Along another dimension than the channels of the weight nothing folds.
// CHECK-LABEL: func.func @other_axis
// CHECK:         %[[Y:.*]] = "graph.matmul"(%arg0, %arg1)
// CHECK:         "graph.mul"(%[[Y]], %{{.*}}) : (tensor<?x4x4xf32>, tensor<4x1xf32>)
func.func @other_axis(%x: tensor<?x4x8xf32>, %w: tensor<8x4xf32>, %s: tensor<4xf32>) -> tensor<?x4x4xf32> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4x8xf32>, tensor<8x4xf32>) -> tensor<?x4x4xf32>
  %1 = "graph.batch_norm"(%0, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<?x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x4xf32>
  return %1 : tensor<?x4x4xf32>
}

// -----

// Statistics in f32 beside activations in bf16: the arithmetic is done in f32; channels may be `?`.
// CHECK-LABEL: func.func @mixed_types
// CHECK:         %[[K:.*]] = "graph.mul"({{.*}}) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
// CHECK:         %[[X:.*]] = "graph.cast"(%arg0) : (tensor<2x?x5xbf16>) -> tensor<2x?x5xf32>
// CHECK:         %[[CHANNELS:.*]] = "graph.reshape"(%[[K]], %{{.*}}) : (tensor<?xf32>, index) -> tensor<?x1xf32>
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[X]], %[[CHANNELS]])
// CHECK:         %[[Y:.*]] = "graph.add"(%[[SCALED]], %{{.*}}) : (tensor<2x?x5xf32>, tensor<?x1xf32>) -> tensor<2x?x5xf32>
// CHECK:         "graph.cast"(%[[Y]]) : (tensor<2x?x5xf32>) -> tensor<2x?x5xbf16>
func.func @mixed_types(%x: tensor<2x?x5xbf16>, %s: tensor<?xf32>) -> tensor<2x?x5xbf16> {
  %0 = "graph.batch_norm"(%x, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<2x?x5xbf16>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) -> tensor<2x?x5xbf16>
  return %0 : tensor<2x?x5xbf16>
}

// -----

// A weight of a half precision is not rounded again: its product is f32 until k and the shift are in it.
// CHECK-LABEL: func.func @half
// CHECK:         %[[W:.*]] = "graph.load"() {symbol = @w}
// CHECK:         %[[Y:.*]] = "graph.matmul"(%arg0, %[[W]]) {transpose_rhs = true} : (tensor<2x4xbf16>, tensor<3x4xbf16>) -> tensor<2x3xf32>
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[Y]], %{{.*}}) : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
// CHECK:         %[[SUM:.*]] = "graph.add"(%[[SCALED]], %{{.*}})
// CHECK:         "graph.cast"(%[[SUM]]) : (tensor<2x3xf32>) -> tensor<2x3xbf16>
"graph.parameter"() {sym_name = "w", type = tensor<3x4xbf16>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<3xbf16>} : () -> ()
func.func @half(%x: tensor<2x4xbf16>) -> tensor<2x3xbf16> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<3x4xbf16>
  %s = "graph.load"() {symbol = @s} : () -> tensor<3xbf16>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x4xbf16>, tensor<3x4xbf16>) -> tensor<2x3xbf16>
  %1 = "graph.batch_norm"(%0, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<2x3xbf16>, tensor<3xbf16>, tensor<3xbf16>, tensor<3xbf16>, tensor<3xbf16>) -> tensor<2x3xbf16>
  return %1 : tensor<2x3xbf16>
}
