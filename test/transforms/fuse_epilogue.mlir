// RUN: terrace-opt --fuse-epilogue --split-input-file %s | filecheck %s

// Bias, residual and activation join the convolution, at the place of the last of them.
// CHECK-LABEL: func.func @conv2d
// CHECK-NEXT:    %[[RES:.*]] = "graph.max_pool2d"
// CHECK-NEXT:    %[[FUSED:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      %[[CONV:.*]] = "graph.conv2d"(%arg0, %arg1)
// CHECK-NEXT:      %[[BIASED:.*]] = "graph.add"(%[[CONV]], %arg2)
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%[[RES]], %[[BIASED]])
// CHECK-NEXT:      %[[RELU:.*]] = "graph.relu"(%[[SUM]])
// CHECK-NEXT:      "graph.yield"(%[[RELU]])
// CHECK-NEXT:    }) : () -> tensor<?x8x8x4xf32>
// CHECK-NEXT:    return %[[FUSED]]
func.func @conv2d(%x: tensor<?x8x8x4xf32>, %w: tensor<4x4x1x1xf32>, %b: tensor<4xf32>) -> tensor<?x8x8x4xf32> {
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC"}
    : (tensor<?x8x8x4xf32>, tensor<4x4x1x1xf32>) -> tensor<?x8x8x4xf32>
  %1 = "graph.add"(%0, %b) : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %2 = "graph.max_pool2d"(%x) {kernel = array<i64: 1, 1>, strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NHWC"} : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  %3 = "graph.add"(%2, %1) : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  %4 = "graph.relu"(%3) : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  return %4 : tensor<?x8x8x4xf32>
}

// -----

// Branches that meet again are fused whole, x * sigmoid(x), and booleans stay inside.
// CHECK-LABEL: func.func @branches
// CHECK:         "graph.fusion"() ({
// CHECK-NEXT:      %[[Y:.*]] = "graph.batch_matmul"
// CHECK-NEXT:      %[[S:.*]] = "graph.sigmoid"(%[[Y]])
// CHECK-NEXT:      %[[SILU:.*]] = "graph.mul"(%[[Y]], %[[S]])
// CHECK-NEXT:      %[[SIGN:.*]] = "graph.compare"(%[[SILU]], %arg1)
// CHECK-NEXT:      %[[RESULT:.*]] = "graph.select"(%[[SIGN]], %[[SILU]], %arg1)
// CHECK-NEXT:      "graph.yield"(%[[RESULT]])
func.func @branches(%x: tensor<2x5x5xf32>, %zero: tensor<f32>) -> tensor<2x5x5xf32> {
  %0 = "graph.batch_matmul"(%x, %x) {transpose_rhs = false} : (tensor<2x5x5xf32>, tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
  %1 = "graph.sigmoid"(%0) : (tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
  %2 = "graph.mul"(%0, %1) : (tensor<2x5x5xf32>, tensor<2x5x5xf32>) -> tensor<2x5x5xf32>
  %3 = "graph.compare"(%2, %zero) {predicate = "gt"} : (tensor<2x5x5xf32>, tensor<f32>) -> tensor<2x5x5xi1>
  %4 = "graph.select"(%3, %2, %zero) : (tensor<2x5x5xi1>, tensor<2x5x5xf32>, tensor<f32>) -> tensor<2x5x5xf32>
  return %4 : tensor<2x5x5xf32>
}

// -----

// A value that is also used elsewhere ends the epilogue: it has to be stored.
// CHECK-LABEL: func.func @escapes
// CHECK:         %[[FUSED:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.matmul
// CHECK-NEXT:      graph.relu
// CHECK-NEXT:      graph.yield
// CHECK:         %[[TANH:.*]] = "graph.tanh"(%[[FUSED]])
// CHECK-NEXT:    return %[[FUSED]], %[[TANH]]
func.func @escapes(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.relu"(%0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.tanh"(%1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// Refused: the product would have to be stretched, a comparison that leaves the kernel, a reduction.
// CHECK-LABEL: func.func @refused
// CHECK-NOT:     graph.fusion
// CHECK:         return
func.func @refused(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>, %big: tensor<3x2x4xf32>)
    -> (tensor<3x2x4xf32>, tensor<2x4xi1>, tensor<2x1xf32>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %1 = "graph.add"(%0, %big) : (tensor<2x4xf32>, tensor<3x2x4xf32>) -> tensor<3x2x4xf32>
  %2 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %3 = "graph.compare"(%2, %x) {predicate = "lt"} : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xi1>
  %4 = "graph.matmul"(%2, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %5 = "graph.reduce"(%4) {kind = "max", axes = array<i64: 1>, keepdims = true} : (tensor<2x4xf32>) -> tensor<2x1xf32>
  return %1, %3, %5 : tensor<3x2x4xf32>, tensor<2x4xi1>, tensor<2x1xf32>
}

// -----

// A product of parameters is computed ahead: no kernel is made for it.
// CHECK-LABEL: func.func @constant
// CHECK-NOT:     graph.fusion
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
func.func @constant() -> tensor<4x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %0 = "graph.matmul"(%w, %w) {transpose_rhs = false} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = "graph.relu"(%0) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}

// -----

// No kernel reads booleans: the select stays outside, and what is before it is fused nevertheless.
// CHECK-LABEL: func.func @reads_booleans
// CHECK:         %[[FUSED:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.matmul
// CHECK-NEXT:      graph.relu
// CHECK-NEXT:      graph.yield
// CHECK:         %[[MASKED:.*]] = "graph.select"(%arg2, %[[FUSED]], %arg3)
// CHECK-NEXT:    return %[[MASKED]]
func.func @reads_booleans(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>, %mask: tensor<?x4xi1>, %other: tensor<f32>)
    -> tensor<?x4xf32> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.relu"(%0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.select"(%mask, %1, %other) : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %2 : tensor<?x4xf32>
}
