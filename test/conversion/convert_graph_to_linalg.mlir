// RUN: terrace-opt --convert-graph-to-linalg --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-linalg{constants=true})' --split-input-file %s | filecheck %s --check-prefix=CONSTANTS

// Only a size known to be 1 is stretched; `?` is taken to be the result's.
// CHECK-DAG: #[[ID:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (0, d1)>
// CHECK-LABEL: func.func @broadcast
// CHECK:         %[[N:.*]] = tensor.dim %arg0
// CHECK:         %[[EMPTY:.*]] = tensor.empty(%[[N]]) : tensor<?x4xf32>
// CHECK:         linalg.generic {indexing_maps = [#[[ID]], #[[ROW]], #[[ID]]], iterator_types = ["parallel", "parallel"]}
// CHECK-SAME:      ins(%arg0, %arg1 : tensor<?x4xf32>, tensor<1x4xf32>) outs(%[[EMPTY]] : tensor<?x4xf32>)
// CHECK:           arith.addf
// CHECK-NOT:     graph.
func.func @broadcast(%x: tensor<?x4xf32>, %y: tensor<1x4xf32>) -> tensor<?x4xf32> {
  %0 = "graph.add"(%x, %y) : (tensor<?x4xf32>, tensor<1x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// The body of a fusion takes its place.
// CHECK-LABEL: func.func @fusion
// CHECK:         arith.negf
// CHECK:         math.exp
// CHECK-NOT:     graph.
func.func @fusion(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %2 = "graph.exp"(%1) : (tensor<4xf32>) -> tensor<4xf32>
    "graph.yield"(%2) : (tensor<4xf32>) -> ()
  }) : () -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Of results of several types, too, which leave no tuple behind.
// CHECK-LABEL: func.func @fusion_of_two_types
// CHECK-NEXT:    tensor.empty
// CHECK-NOT:     unrealized_conversion_cast
// CHECK:         %[[NEG:.*]] = linalg.generic
// CHECK:         %[[INT:.*]] = linalg.generic
// CHECK-NOT:     unrealized_conversion_cast
// CHECK:         return %[[NEG]], %[[INT]]
func.func @fusion_of_two_types(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi32>) {
  %0 = "graph.fusion"() ({
    %2 = "graph.neg"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = "graph.cast"(%2) : (tensor<4xf32>) -> tensor<4xi32>
    %4 = builtin.unrealized_conversion_cast %2, %3 : tensor<4xf32>, tensor<4xi32> to tuple<tensor<4xf32>, tensor<4xi32>>
    "graph.yield"(%4) : (tuple<tensor<4xf32>, tensor<4xi32>>) -> ()
  }) : () -> tuple<tensor<4xf32>, tensor<4xi32>>
  %1:2 = builtin.unrealized_conversion_cast %0 : tuple<tensor<4xf32>, tensor<4xi32>> to tensor<4xf32>, tensor<4xi32>
  return %1#0, %1#1 : tensor<4xf32>, tensor<4xi32>
}

// -----

// Leading sizes become rows; half precision is summed in f32 and rounded once.
// CHECK-LABEL: func.func @matmul
// CHECK:         %[[ROWS:.*]] = tensor.collapse_shape %arg0 {{.*}} : tensor<?x3x4xf16> into tensor<?x4xf16>
// CHECK:         %[[ZERO:.*]] = linalg.fill {{.*}} -> tensor<?x5xf32>
// CHECK:         %[[SUM:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]}
// CHECK-SAME:      ins(%[[ROWS]], %arg1 : tensor<?x4xf16>, tensor<5x4xf16>) outs(%[[ZERO]] : tensor<?x5xf32>)
// CHECK:         arith.truncf
// CHECK:         tensor.expand_shape {{.*}} : tensor<?x5xf16> into tensor<?x3x5xf16>
func.func @matmul(%x: tensor<?x3x4xf16>, %w: tensor<5x4xf16>) -> tensor<?x3x5xf16> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<?x3x4xf16>, tensor<5x4xf16>) -> tensor<?x3x5xf16>
  return %0 : tensor<?x3x5xf16>
}

// -----

// CHECK-LABEL: func.func @conv
// CHECK:         %[[PADDED:.*]] = tensor.pad %arg0 low[0, 0, 1, 1] high[0, 0, 1, 1]
// CHECK:         linalg.conv_2d_nchw_fchw {dilations = dense<1> : tensor<2xi64>, strides = dense<2> : tensor<2xi64>}
// CHECK-SAME:      ins(%[[PADDED]], %arg1
func.func @conv(%x: tensor<?x3x8x8xf32>, %w: tensor<6x3x3x3xf32>) -> tensor<?x6x4x4xf32> {
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 2>, padding = array<i64: 1, 1, 1, 1>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<?x3x8x8xf32>, tensor<6x3x3x3xf32>) -> tensor<?x6x4x4xf32>
  return %0 : tensor<?x6x4x4xf32>
}

// -----

// The mean of a dynamic size divides by that size at run time.
// CHECK-LABEL: func.func @mean
// CHECK:         %[[SUM:.*]] = linalg.generic
// CHECK:         %[[N:.*]] = tensor.dim %arg0
// CHECK:         %[[INTEGER:.*]] = arith.index_cast %{{.*}} : index to i64
// CHECK:         %[[COUNT:.*]] = arith.uitofp %[[INTEGER]] : i64 to f32
// CHECK:         arith.divf %{{.*}}, %[[COUNT]]
// CHECK:         tensor.expand_shape
func.func @mean(%x: tensor<3x?xf32>) -> tensor<3x1xf32> {
  %0 = "graph.reduce"(%x) {kind = "mean", axes = array<i64: 1>, keepdims = true} : (tensor<3x?xf32>) -> tensor<3x1xf32>
  return %0 : tensor<3x1xf32>
}

// -----

// What outlives a call stays; the body of a constant is converted on request.
// CHECK:       "graph.constant"
// CHECK:         "graph.neg"
// CHECK:       func.func @loads
// CHECK:         "graph.load"() {symbol = @c}
// CHECK:         arith.maximumf
// CONSTANTS:   "graph.constant"
// CONSTANTS:     "graph.load"() {symbol = @w}
// CONSTANTS:     arith.negf
// CONSTANTS:     "graph.yield"
"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @w} : () -> tensor<2xf32>
  %1 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  "graph.yield"(%1) : (tensor<2xf32>) -> ()
}) {sym_name = "c", type = tensor<2xf32>} : () -> ()
func.func @loads(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.load"() {symbol = @c} : () -> tensor<2xf32>
  %1 = "graph.maximum"(%x, %0) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}

// -----

// CHECK-LABEL: func.func @scan
// CHECK:         %[[WIDE:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<?x4xf16>)
// CHECK:         tm_tensor.scan dimension(0) inclusive(true) ins(%[[WIDE]] : tensor<?x4xf32>)
// CHECK-NEXT:    ^bb0(%[[AFTER:.*]]: f32, %[[BEFORE:.*]]: f32):
// CHECK-NEXT:      %[[SUM:.*]] = arith.addf %[[BEFORE]], %[[AFTER]]
// CHECK-NEXT:      tm_tensor.yield %[[SUM]]
func.func @scan(%x: tensor<?x4xf16>) -> tensor<?x4xf16> {
  %0 = "graph.scan"(%x) {axis = 0 : i64, kind = "sum"} : (tensor<?x4xf16>) -> tensor<?x4xf16>
  return %0 : tensor<?x4xf16>
}
