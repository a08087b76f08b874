// RUN: terrace-opt --choose-layout --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(choose-layout,choose-layout{image-layout=NCHW})' --split-input-file %s | filecheck %s --check-prefix=BACK
// RUN: not terrace-opt --pass-pipeline='builtin.module(choose-layout{image-layout=CHWN})' %s 2>&1 | filecheck %s --check-prefix=REFUSED

// REFUSED: option 'image-layout' must be NHWC or NCHW, got 'CHWN'

// The permute after the convolution sinks below the constant bias, the scalar and the residual, to meet the pool's.
// CHECK-LABEL: func.func @residual_block
// CHECK:         %[[W:.*]] = "graph.load"() {symbol = @w}
// CHECK:         %[[B:.*]] = "graph.load"() {symbol = @b}
// CHECK:         %[[X:.*]] = "graph.permute"(%arg0) {permutation = array<i64: 0, 2, 3, 1>}
// CHECK-NEXT:    %[[CONV:.*]] = "graph.conv2d"(%[[X]], %[[W]]) {{.*}}layout = "NHWC"{{.*}} -> tensor<?x8x8x3xf32>
// CHECK-NEXT:    %[[BIAS:.*]] = "graph.reshape"(%[[B]]) : (tensor<3x1x1xf32>) -> tensor<3xf32>
// CHECK-NEXT:    %[[SUM:.*]] = "graph.add"(%[[CONV]], %[[BIAS]]) : (tensor<?x8x8x3xf32>, tensor<3xf32>)
// CHECK-NEXT:    %[[CONV2:.*]] = "graph.conv2d"(%[[SUM]], %[[W]]) {{.*}}layout = "NHWC"
// CHECK-NEXT:    %[[RES:.*]] = "graph.add"(%[[SUM]], %[[CONV2]])
// CHECK-NEXT:    %[[SCALED:.*]] = "graph.mul"(%[[RES]], %arg1)
// CHECK-NEXT:    %[[POOL:.*]] = "graph.max_pool2d"(%[[SCALED]]) {{.*}}layout = "NHWC"
// CHECK-NEXT:    %[[Y:.*]] = "graph.permute"(%[[POOL]]) {permutation = array<i64: 0, 3, 1, 2>}
// CHECK-NEXT:    return %[[Y]] : tensor<?x3x4x4xf32>

// Back again, all is as it was.
// BACK-LABEL:  func.func @residual_block
// BACK-NOT:      graph.permute
// BACK:          graph.max_pool2d
// BACK-SAME:     layout = "NCHW"
"graph.parameter"() {sym_name = "w", type = tensor<3x3x1x1xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<3x1x1xf32>} : () -> ()
func.func @residual_block(%x: tensor<?x3x8x8xf32>, %scale: tensor<1xf32>) -> tensor<?x3x4x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<3x3x1x1xf32>
  %b = "graph.load"() {symbol = @b} : () -> tensor<3x1x1xf32>
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x3x8x8xf32>, tensor<3x3x1x1xf32>) -> tensor<?x3x8x8xf32>
  %1 = "graph.add"(%0, %b) : (tensor<?x3x8x8xf32>, tensor<3x1x1xf32>) -> tensor<?x3x8x8xf32>
  %2 = "graph.conv2d"(%1, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x3x8x8xf32>, tensor<3x3x1x1xf32>) -> tensor<?x3x8x8xf32>
  %3 = "graph.add"(%1, %2) : (tensor<?x3x8x8xf32>, tensor<?x3x8x8xf32>) -> tensor<?x3x8x8xf32>
  %4 = "graph.mul"(%3, %scale) : (tensor<?x3x8x8xf32>, tensor<1xf32>) -> tensor<?x3x8x8xf32>
  %5 = "graph.max_pool2d"(%4) {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW"} : (tensor<?x3x8x8xf32>) -> tensor<?x3x4x4xf32>
  return %5 : tensor<?x3x4x4xf32>
}

// -----

// A group norm of channels that became the last dimension, and a number for each of these, which moves no element.
// CHECK-LABEL: func.func @channels
// CHECK:         %[[POOL:.*]] = "graph.max_pool2d"
// CHECK-NEXT:    %[[EACH:.*]] = "graph.reshape"(%arg1) : (tensor<2x6x1x1xf32>) -> tensor<2x1x1x6xf32>
// CHECK-NEXT:    %[[SUM:.*]] = "graph.add"(%[[POOL]], %[[EACH]])
// CHECK-NEXT:    %[[NORM:.*]] = "graph.group_norm"(%[[SUM]], %arg2, %arg2) {axis = 3 : i64
// CHECK-NEXT:    "graph.permute"(%[[NORM]]) {permutation = array<i64: 0, 3, 1, 2>}
func.func @channels(%x: tensor<2x6x8x?xf32>, %each: tensor<2x6x1x1xf32>, %s: tensor<6xf32>) -> tensor<2x6x8x?xf32> {
  %0 = "graph.max_pool2d"(%x) {kernel = array<i64: 1, 1>, strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW"} : (tensor<2x6x8x?xf32>) -> tensor<2x6x8x?xf32>
  %1 = "graph.add"(%0, %each) : (tensor<2x6x8x?xf32>, tensor<2x6x1x1xf32>) -> tensor<2x6x8x?xf32>
  %2 = "graph.group_norm"(%1, %s, %s) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 2 : i64}
    : (tensor<2x6x8x?xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<2x6x8x?xf32>
  return %2 : tensor<2x6x8x?xf32>
}

// -----

// What names dimensions follows them.
// CHECK-LABEL: func.func @dimensions
// CHECK:         %[[POOL:.*]] = "graph.avg_pool2d"
// CHECK-NEXT:    %[[CAT:.*]] = "graph.concat"(%[[POOL]], %[[POOL]]) {axis = 3 : i64}
// CHECK-NEXT:    %[[PAD:.*]] = "graph.pad"(%[[CAT]]) {high = array<i64: 0, 3, 4, 2>, low = array<i64: 0, 1, 0, 0>
// CHECK-NEXT:    %[[SLICE:.*]] = "graph.slice"(%[[PAD]]) {starts = array<i64: 0, 2, 3, 1>,
// CHECK-SAME:      steps = array<i64: 1, 2, 1, 1>, stops = array<i64: -1, 8, -1, 7>}
// CHECK-NEXT:    %[[NORM:.*]] = "graph.batch_norm"(%[[SLICE]], {{.*}}) {axis = 3 : i64
// CHECK-NEXT:    %[[SOFT:.*]] = "graph.softmax"(%[[NORM]]) {axis = 2 : i64}
// CHECK-NEXT:    %[[SUM:.*]] = "graph.reduce"(%[[SOFT]]) {axes = array<i64: 1>, keepdims = false, kind = "sum"}
// CHECK-SAME:      -> tensor<?x?x6xf32>
// CHECK-NEXT:    "graph.permute"(%[[SUM]]) {permutation = array<i64: 0, 2, 1>} : {{.*}} -> tensor<?x6x?xf32>
func.func @dimensions(%x: tensor<?x3x8x?xf32>, %s: tensor<6xf32>) -> tensor<?x6x?xf32> {
  %0 = "graph.avg_pool2d"(%x) {kernel = array<i64: 2, 2>, strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, count_include_pad = true, layout = "NCHW"}
    : (tensor<?x3x8x?xf32>) -> tensor<?x3x7x?xf32>
  %1 = "graph.concat"(%0, %0) {axis = 1 : i64} : (tensor<?x3x7x?xf32>, tensor<?x3x7x?xf32>) -> tensor<?x6x7x?xf32>
  %2 = "graph.pad"(%1) {low = array<i64: 0, 0, 1, 0>, high = array<i64: 0, 2, 3, 4>, value = 0.0 : f64}
    : (tensor<?x6x7x?xf32>) -> tensor<?x8x11x?xf32>
  %3 = "graph.slice"(%2) {starts = array<i64: 0, 1, 2, 3>, stops = array<i64: -1, 7, 8, -1>, steps = array<i64: 1, 1, 2, 1>}
    : (tensor<?x8x11x?xf32>) -> tensor<?x6x3x?xf32>
  %4 = "graph.batch_norm"(%3, %s, %s, %s, %s) {epsilon = 1.0e-05 : f64, axis = 1 : i64}
    : (tensor<?x6x3x?xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<?x6x3x?xf32>
  %5 = "graph.softmax"(%4) {axis = 3 : i64} : (tensor<?x6x3x?xf32>) -> tensor<?x6x3x?xf32>
  %6 = "graph.reduce"(%5) {kind = "sum", axes = array<i64: 2>, keepdims = false} : (tensor<?x6x3x?xf32>) -> tensor<?x6x?xf32>
  return %6 : tensor<?x6x?xf32>
}

// -----

// A permute that moves dimensions of size 1 only is a reshape, for any batch.
// CHECK-LABEL: func.func @global_pool
// CHECK:         %[[MEAN:.*]] = "graph.reduce"{{.*}} -> tensor<?x1x1x8xf32>
// CHECK:         %[[N:.*]] = tensor.dim %[[MEAN]]
// CHECK:         "graph.reshape"(%[[MEAN]], %[[N]]) : (tensor<?x1x1x8xf32>, index) -> tensor<?x8x1x1xf32>
func.func @global_pool(%x: tensor<?x8x4x4xf32>) -> tensor<?x8x1x1xf32> {
  %0 = "graph.max_pool2d"(%x) {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW"} : (tensor<?x8x4x4xf32>) -> tensor<?x8x2x2xf32>
  %1 = "graph.reduce"(%0) {kind = "mean", axes = array<i64: 2, 3>, keepdims = true} : (tensor<?x8x2x2xf32>) -> tensor<?x8x1x1xf32>
  return %1 : tensor<?x8x1x1xf32>
}

// -----

// The permute stays where sinking it would need another one, and before a reshape, which reads the order.
// CHECK-LABEL: func.func @stays
// CHECK:         %[[POOL:.*]] = "graph.max_pool2d"
// CHECK-NEXT:    %[[P:.*]] = "graph.permute"(%[[POOL]]) {permutation = array<i64: 0, 3, 1, 2>}
// CHECK-NEXT:    "graph.add"(%[[P]], %arg1)
// CHECK-NEXT:    "graph.reshape"(%[[P]]) : (tensor<1x8x2x2xf32>) -> tensor<1x32xf32>
func.func @stays(%x: tensor<1x8x4x4xf32>, %y: tensor<1x8x2x2xf32>) -> (tensor<1x8x2x2xf32>, tensor<1x32xf32>) {
  %0 = "graph.max_pool2d"(%x) {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW"} : (tensor<1x8x4x4xf32>) -> tensor<1x8x2x2xf32>
  %1 = "graph.add"(%0, %y) : (tensor<1x8x2x2xf32>, tensor<1x8x2x2xf32>) -> tensor<1x8x2x2xf32>
  %2 = "graph.reshape"(%0) : (tensor<1x8x2x2xf32>) -> tensor<1x32xf32>
  return %1, %2 : tensor<1x8x2x2xf32>, tensor<1x32xf32>
}

// -----

// A model's own permutes are left alone.
// CHECK-LABEL: func.func @transformer
// CHECK-NEXT:    "graph.permute"(%arg0) {permutation = array<i64: 0, 2, 1, 3>}
// CHECK-NEXT:    graph.relu
// CHECK-NEXT:    return
func.func @transformer(%x: tensor<1x5x4x3xf32>) -> tensor<1x4x5x3xf32> {
  %0 = "graph.permute"(%x) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x5x4x3xf32>) -> tensor<1x4x5x3xf32>
  %1 = "graph.relu"(%0) : (tensor<1x4x5x3xf32>) -> tensor<1x4x5x3xf32>
  return %1 : tensor<1x4x5x3xf32>
}

// -----

// Attention takes up permutes that bring heads before rows, and the one that brings those of its result back.
// CHECK-LABEL: func.func @heads
// CHECK-NEXT:    %[[RESULT:.*]] = "graph.attention"(%arg0, %arg1, %arg0) {inner_heads = array<i64: 0, 2, 3>,
// CHECK-SAME:      (tensor<2x?x6x8xf32>, tensor<2x6x?x8xf32>, tensor<2x?x6x8xf32>) -> tensor<2x?x6x8xf32>
// CHECK-NEXT:    return %[[RESULT]]
func.func @heads(%q: tensor<2x?x6x8xf32>, %k: tensor<2x6x?x8xf32>) -> tensor<2x?x6x8xf32> {
  %0 = "graph.permute"(%q) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<2x?x6x8xf32>) -> tensor<2x6x?x8xf32>
  %1 = "graph.attention"(%0, %k, %0) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32>) -> tensor<2x6x?x8xf32>
  %2 = "graph.permute"(%1) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<2x6x?x8xf32>) -> tensor<2x?x6x8xf32>
  return %2 : tensor<2x?x6x8xf32>
}

// -----

// Where the result is also used as it is, and a permute is another one, nothing changes.
// CHECK-LABEL: func.func @other_permutes
// CHECK:         "graph.permute"(%arg0) {permutation = array<i64: 1, 0, 2, 3>}
// CHECK-NEXT:    %[[RESULT:.*]] = "graph.attention"
// CHECK-NOT:     inner_heads
// CHECK:         "graph.permute"(%[[RESULT]])
func.func @other_permutes(%q: tensor<6x2x5x8xf32>) -> (tensor<2x5x6x8xf32>, tensor<2x6x5x8xf32>) {
  %0 = "graph.permute"(%q) {permutation = array<i64: 1, 0, 2, 3>} : (tensor<6x2x5x8xf32>) -> tensor<2x6x5x8xf32>
  %1 = "graph.attention"(%0, %0, %0) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x6x5x8xf32>, tensor<2x6x5x8xf32>, tensor<2x6x5x8xf32>) -> tensor<2x6x5x8xf32>
  %2 = "graph.permute"(%1) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<2x6x5x8xf32>) -> tensor<2x5x6x8xf32>
  return %2, %1 : tensor<2x5x6x8xf32>, tensor<2x6x5x8xf32>
}

// -----

// A line goes from one convolution to the next as an image: the reshapes between them meet, and so do the permutes.
// CHECK-LABEL: func.func @lines
// CHECK:         %[[CONV:.*]] = "graph.conv2d"({{.*}}) {{.*}}layout = "NHWC"{{.*}} -> tensor<?x1x9x8xf32>
// CHECK-NEXT:    %[[BIAS:.*]] = "graph.reshape"(%{{.*}}) : (tensor<8x1xf32>) -> tensor<8xf32>
// CHECK-NEXT:    %[[SUM:.*]] = "graph.add"(%[[CONV]], %[[BIAS]]) : (tensor<?x1x9x8xf32>, tensor<8xf32>)
// CHECK-NEXT:    %[[PAD:.*]] = "graph.pad"(%[[SUM]]) {high = array<i64: 0, 0, 1, 0>, low = array<i64: 0, 0, 2, 0>
// CHECK-NEXT:    "graph.conv2d"(%[[PAD]], %{{.*}}) {{.*}}layout = "NHWC"
"graph.parameter"() {sym_name = "w", type = tensor<8x8x1x1xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<8x1xf32>} : () -> ()
func.func @lines(%x: tensor<?x8x1x9xf32>) -> tensor<?x8x1x12xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x8x1x1xf32>
  %b = "graph.load"() {symbol = @b} : () -> tensor<8x1xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8x1x9xf32>
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x8x1x9xf32>, tensor<8x8x1x1xf32>) -> tensor<?x8x1x9xf32>
  %1 = "graph.reshape"(%0, %n) : (tensor<?x8x1x9xf32>, index) -> tensor<?x8x9xf32>
  %2 = "graph.add"(%1, %b) : (tensor<?x8x9xf32>, tensor<8x1xf32>) -> tensor<?x8x9xf32>
  %3 = "graph.pad"(%2) {low = array<i64: 0, 0, 2>, high = array<i64: 0, 0, 1>, value = 0.0 : f64}
    : (tensor<?x8x9xf32>) -> tensor<?x8x12xf32>
  %4 = "graph.reshape"(%3, %n) : (tensor<?x8x12xf32>, index) -> tensor<?x8x1x12xf32>
  %5 = "graph.conv2d"(%4, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x8x1x12xf32>, tensor<8x8x1x1xf32>) -> tensor<?x8x1x12xf32>
  return %5 : tensor<?x8x1x12xf32>
}

// -----

// A convolution along the height of images of width 1 is one along the width. Where something else is added that is
// no constant, the reshape stays.
// CHECK-LABEL: func.func @height
// CHECK:         %[[CONV:.*]] = "graph.conv2d"({{.*}}) {dilations = array<i64: 1, 3>, {{.*}}padding = array<i64: 0, 0, 1, 2>, strides = array<i64: 1, 2>}
// CHECK-SAME:      (tensor<2x1x9x8xf32>, tensor<8x8x1x2xf32>) -> tensor<2x1x5x8xf32>
// CHECK:         %[[RELU:.*]] = "graph.relu"(%[[CONV]])
// CHECK-NEXT:    %[[MAX:.*]] = "graph.reduce"(%[[RELU]]) {axes = array<i64: 2>
// CHECK:         "graph.add"(%{{.*}}, %arg2) : (tensor<2x8x5x1xf32>, tensor<2x8x5x1xf32>)
// CHECK-NEXT:    return
func.func @height(%x: tensor<2x8x9x1xf32>, %w: tensor<8x8x2x1xf32>, %y: tensor<2x8x5x1xf32>)
    -> (tensor<2x8x1x1xf32>, tensor<2x8x5x1xf32>) {
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 1>, padding = array<i64: 1, 2, 0, 0>,
    dilations = array<i64: 3, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<2x8x9x1xf32>, tensor<8x8x2x1xf32>) -> tensor<2x8x5x1xf32>
  %1 = "graph.relu"(%0) : (tensor<2x8x5x1xf32>) -> tensor<2x8x5x1xf32>
  %2 = "graph.reduce"(%1) {axes = array<i64: 2>, kind = "max", keepdims = true}
    : (tensor<2x8x5x1xf32>) -> tensor<2x8x1x1xf32>
  %3 = "graph.add"(%0, %y) : (tensor<2x8x5x1xf32>, tensor<2x8x5x1xf32>) -> tensor<2x8x5x1xf32>
  return %2, %3 : tensor<2x8x1x1xf32>, tensor<2x8x5x1xf32>
}
