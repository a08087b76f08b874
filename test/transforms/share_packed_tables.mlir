// RUN: terrace-opt --share-packed-tables --split-input-file %s | filecheck %s

// A table that is packed for a product is looked up in blocks of rows.
// CHECK-LABEL: func.func @tied
// CHECK:         %[[LOAD:.*]] = "graph.load"() {symbol = @w}
// CHECK-NEXT:    %[[PACK:.*]] = "graph.pack"(%[[LOAD]]) {inner_dims = array<i64: 0>, inner_tiles = array<i64: 4>
// CHECK-NEXT:    "graph.embedding"(%[[PACK]], %{{.*}}) : (tensor<2x3x4xf32>, tensor<?xi64>) -> tensor<?x3xf32>
"graph.parameter"() {sym_name = "w", type = tensor<5x3xf32>} : () -> ()
func.func @tied(%i: tensor<?xi64>) -> (tensor<?x3xf32>, tensor<2x3x4xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<5x3xf32>
  %0 = "graph.embedding"(%w, %i) : (tensor<5x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
  %1 = "graph.load"() {symbol = @w} : () -> tensor<5x3xf32>
  %2 = "graph.pack"(%1) {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 4>}
      : (tensor<5x3xf32>) -> tensor<2x3x4xf32>
  return %0, %2 : tensor<?x3xf32>, tensor<2x3x4xf32>
}

// -----

// What something else reads as it is, and what is packed in another way, stays.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     tensor<2x3x4xf32>, tensor<?xi64>
// CHECK:         "graph.embedding"(%{{.*}}, %{{.*}}) : (tensor<5x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
// CHECK:         "graph.embedding"(%{{.*}}, %{{.*}}) : (tensor<5x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
"graph.parameter"() {sym_name = "v", type = tensor<5x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "w", type = tensor<5x3xf32>} : () -> ()
func.func @others(%i: tensor<?xi64>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<2x3x4xf32>, tensor<5x3xf32>, tensor<3x3x2xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<5x3xf32>
  %v = "graph.load"() {symbol = @v} : () -> tensor<5x3xf32>
  %0 = "graph.embedding"(%w, %i) : (tensor<5x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
  %1 = "graph.embedding"(%v, %i) : (tensor<5x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
  %2 = "graph.pack"(%w) {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 4>}
      : (tensor<5x3xf32>) -> tensor<2x3x4xf32>
  %3 = "graph.neg"(%w) : (tensor<5x3xf32>) -> tensor<5x3xf32>
  %4 = "graph.pack"(%v) {outer_permutation = array<i64: 1, 0>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 2>}
      : (tensor<5x3xf32>) -> tensor<3x3x2xf32>
  return %0, %1, %2, %3, %4 : tensor<?x3xf32>, tensor<?x3xf32>, tensor<2x3x4xf32>, tensor<5x3xf32>, tensor<3x3x2xf32>
}
