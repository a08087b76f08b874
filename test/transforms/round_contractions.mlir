// RUN: terrace-opt --round-contractions --split-input-file %s | filecheck %s
// RUN: not terrace-opt --pass-pipeline='round-contractions{element-type=f64}' %s 2>&1 | filecheck %s --check-prefix=WIDE
// WIDE: pass 'round-contractions': option 'element-type' must be a float narrower than f32, got 'f64'

// Both operands are rounded, the sums are not. The input's cast moves up to what computed it.
// CHECK-LABEL: func.func @layers
// CHECK:         %[[W:.*]] = "graph.load"() {symbol = @w}
// CHECK:         %[[V:.*]] = "graph.cast"(%[[W]]) : (tensor<8x24xf32>) -> tensor<8x24xbf16>
// CHECK:         %[[R:.*]] = "graph.relu"(%arg0) : (tensor<1x4x4x6xf32>)
// CHECK:         %[[X:.*]] = "graph.cast"(%[[R]]) : (tensor<1x4x4x6xf32>) -> tensor<1x4x4x6xbf16>
// CHECK:         %[[P:.*]] = "graph.max_pool2d"(%[[X]]) {{.*}} -> tensor<1x2x2x6xbf16>
// CHECK:         %[[F:.*]] = "graph.reshape"(%[[P]]) : (tensor<1x2x2x6xbf16>) -> tensor<1x24xbf16>
// CHECK:         "graph.matmul"(%[[F]], %[[V]]) {{.*}} : (tensor<1x24xbf16>, tensor<8x24xbf16>) -> tensor<1x8xf32>
"graph.parameter"() {sym_name = "w", type = tensor<8x24xf32>} : () -> ()
func.func @layers(%x: tensor<1x4x4x6xf32>) -> tensor<1x8xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x24xf32>
  %0 = "graph.relu"(%x) : (tensor<1x4x4x6xf32>) -> tensor<1x4x4x6xf32>
  %1 = "graph.max_pool2d"(%0) {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NHWC"} : (tensor<1x4x4x6xf32>) -> tensor<1x2x2x6xf32>
  %2 = "graph.reshape"(%1) : (tensor<1x2x2x6xf32>) -> tensor<1x24xf32>
  %3 = "graph.matmul"(%2, %w) {transpose_rhs = true} : (tensor<1x24xf32>, tensor<8x24xf32>) -> tensor<1x8xf32>
  return %3 : tensor<1x8xf32>
}

// -----

// What is moved and read in float32, too, is rounded behind the move.
// CHECK-LABEL: func.func @residual
// CHECK:         %[[F:.*]] = "graph.reshape"(%arg0) : (tensor<2x2x2xf32>) -> tensor<2x4xf32>
// CHECK:         %[[X:.*]] = "graph.cast"(%[[F]]) : (tensor<2x4xf32>) -> tensor<2x4xbf16>
// CHECK:         %[[Y:.*]] = "graph.matmul"(%[[X]], %{{.*}}) {{.*}} -> tensor<2x4xf32>
// CHECK:         "graph.add"(%[[F]], %[[Y]])
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
func.func @residual(%x: tensor<2x2x2xf32>) -> tensor<2x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %0 = "graph.reshape"(%x) : (tensor<2x2x2xf32>) -> tensor<2x4xf32>
  %1 = "graph.matmul"(%0, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %2 = "graph.add"(%0, %1) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

// One cast serves all that read a value narrow, moved or not; what the model casts by itself is its own.
// CHECK-LABEL: func.func @shared
// CHECK-SAME:    %[[ARG:.*]]: tensor<2x2x2xf32>
// CHECK:         %[[X:.*]] = "graph.cast"(%[[ARG]]) : (tensor<2x2x2xf32>) -> tensor<2x2x2xbf16>
// CHECK:         %[[F:.*]] = "graph.reshape"(%[[X]]) : (tensor<2x2x2xbf16>) -> tensor<2x4xbf16>
// CHECK:         "graph.matmul"(%[[F]], %{{.*}}) {transpose_rhs = true}
// CHECK:         "graph.matmul"(%[[X]], %{{.*}}) {transpose_rhs = true}
// CHECK:         "graph.matmul"(%[[F]], %{{.*}}) {transpose_rhs = false}
// CHECK:         "graph.cast"(%[[ARG]]) : (tensor<2x2x2xf32>) -> tensor<2x2x2xbf16>
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
"graph.parameter"() {sym_name = "v", type = tensor<4x2xf32>} : () -> ()
func.func @shared(%x: tensor<2x2x2xf32>) -> (tensor<2x4xf32>, tensor<2x2x4xf32>, tensor<2x4xf32>, tensor<2x2x2xbf16>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %v = "graph.load"() {symbol = @v} : () -> tensor<4x2xf32>
  %0 = "graph.reshape"(%x) : (tensor<2x2x2xf32>) -> tensor<2x4xf32>
  %1 = "graph.matmul"(%0, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %2 = "graph.matmul"(%x, %v) {transpose_rhs = true} : (tensor<2x2x2xf32>, tensor<4x2xf32>) -> tensor<2x2x4xf32>
  %3 = "graph.matmul"(%0, %w) {transpose_rhs = false} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %4 = "graph.cast"(%x) : (tensor<2x2x2xf32>) -> tensor<2x2x2xbf16>
  return %1, %2, %3, %4 : tensor<2x4xf32>, tensor<2x2x4xf32>, tensor<2x4xf32>, tensor<2x2x2xbf16>
}

// -----

// Products of activations, of other types, and depthwise convolutions stay.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     graph.cast
"graph.parameter"() {sym_name = "w", type = tensor<3x1x1x1xf32>} : () -> ()
"graph.parameter"() {sym_name = "d", type = tensor<4x4xf64>} : () -> ()
func.func @others(%x: tensor<4x4xf32>, %y: tensor<1x2x2x3xf32>, %z: tensor<4x4xf64>)
    -> (tensor<4x4xf32>, tensor<1x2x2x3xf32>, tensor<4x4xf64>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<3x1x1x1xf32>
  %d = "graph.load"() {symbol = @d} : () -> tensor<4x4xf64>
  %0 = "graph.matmul"(%x, %x) {transpose_rhs = true} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = "graph.conv2d"(%y, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
    groups = 3 : i64, layout = "NHWC"} : (tensor<1x2x2x3xf32>, tensor<3x1x1x1xf32>) -> tensor<1x2x2x3xf32>
  %2 = "graph.matmul"(%z, %d) {transpose_rhs = true} : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xf64>
  return %0, %1, %2 : tensor<4x4xf32>, tensor<1x2x2x3xf32>, tensor<4x4xf64>
}

// -----

// Codes of 4 bits meet a rounded activation; no step multiplies bytes by one, which stays as it is.
// CHECK-LABEL: func.func @encoded
// CHECK:         %[[X:.*]] = "graph.cast"(%arg0) : (tensor<2x32xf32>) -> tensor<2x32xbf16>
// CHECK:         "graph.encoded_matmul"(%[[X]], %{{.*}} : (tensor<2x32xbf16>, tensor<4x16xi8>, tensor<4x1xf32>) -> tensor<2x4xf32>
// CHECK:         "graph.encoded_matmul"(%arg0, %{{.*}} : (tensor<2x32xf32>, tensor<4x32xi8>, tensor<4x1xf32>) -> tensor<2x4xf32>
"graph.parameter"() {sym_name = "nibbles", type = tensor<4x16xi8>} : () -> ()
"graph.parameter"() {sym_name = "bytes", type = tensor<4x32xi8>} : () -> ()
"graph.parameter"() {sym_name = "scales", type = tensor<4x1xf32>} : () -> ()
func.func @encoded(%x: tensor<2x32xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %n = "graph.load"() {symbol = @nibbles} : () -> tensor<4x16xi8>
  %b = "graph.load"() {symbol = @bytes} : () -> tensor<4x32xi8>
  %s = "graph.load"() {symbol = @scales} : () -> tensor<4x1xf32>
  %0 = "graph.encoded_matmul"(%x, %n, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true} : (tensor<2x32xf32>, tensor<4x16xi8>, tensor<4x1xf32>) -> tensor<2x4xf32>
  %1 = "graph.encoded_matmul"(%x, %b, %s) {encoding = {int8_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true} : (tensor<2x32xf32>, tensor<4x32xi8>, tensor<4x1xf32>) -> tensor<2x4xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x4xf32>
}
