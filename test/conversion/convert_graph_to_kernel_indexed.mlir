// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=gather,scatter,copy views=true},schedule-kernels)' --split-input-file %s | filecheck %s

// Dimensions beside the axis become one, each run by itself. Rows that share an index are vectors; elements that have
// their own are read one by one.
// CHECK-LABEL: func.func private @gather_6x7x8_2
// CHECK:         schedule = {cuts = [{memory = "register", order = ["f0"], sizes = array<i64: 1>}]}
// CHECK-LABEL: func.func private @gather_6x7x8(
// CHECK:         names = ["d0", "e0", "f0"], sizes = array<i64: 6, 7, 8>}, schedule = {cuts = [{memory = "register", order = ["f0"], sizes = array<i64: 8>}]}
// CHECK:         "graph.gather"(%arg0, %arg1) {axis = 1 : i64} : (tensor<6x50x8xf32>, tensor<1x7x1xi64>) -> tensor<6x7x8xf32>
func.func @reads(%x: tensor<2x3x50x8xf32>, %i: tensor<1x1x7x1xi64>, %j: tensor<2x3x7x8xi32>) -> (tensor<2x3x7x8xf32>, tensor<2x3x7x8xf32>) {
  %0 = "graph.gather"(%x, %i) {axis = 2 : i64} : (tensor<2x3x50x8xf32>, tensor<1x1x7x1xi64>) -> tensor<2x3x7x8xf32>
  %1 = "graph.gather"(%x, %j) {axis = 2 : i64} : (tensor<2x3x50x8xf32>, tensor<2x3x7x8xi32>) -> tensor<2x3x7x8xf32>
  return %0, %1 : tensor<2x3x7x8xf32>, tensor<2x3x7x8xf32>
}

// -----

// An epilogue that is read along some of the indices' dimensions keeps these apart; the result's sizes are the indices'.
// CHECK-LABEL: func.func private @embedding_add_dx7x70
// CHECK:         names = ["d0", "d1", "e0"]
// CHECK-LABEL: func.func @embedding
// CHECK:         %[[DIM:.*]] = tensor.dim %arg1
// CHECK:         call @embedding_add_dx7x70(%arg0, %arg1, %{{.*}}, %[[DIM]])
func.func @embedding(%t: tensor<50x70xf32>, %i: tensor<?x7xi64>, %p: tensor<7x70xf32>) -> tensor<?x7x70xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.embedding"(%t, %i) : (tensor<50x70xf32>, tensor<?x7xi64>) -> tensor<?x7x70xf32>
    %2 = "graph.add"(%1, %p) : (tensor<?x7x70xf32>, tensor<7x70xf32>) -> tensor<?x7x70xf32>
    "graph.yield"(%2) : (tensor<?x7x70xf32>) -> ()
  }) : () -> tensor<?x7x70xf32>
  return %0 : tensor<?x7x70xf32>
}

// -----

// Points of one axis follow each other. A kernel that updates its argument takes no size of its result. Where it is not
// known that all tensors are as large as the points, dimensions stay apart.
// CHECK-LABEL: func.func private @scatter_dxd(%arg0: tensor<?x?xbf16>, %arg1: tensor<?x?xi64>, %arg2: tensor<?x?xbf16>) -> tensor<?x?xbf16>
// CHECK:         kinds = ["parallel", "reduction"], names = ["d0", "e0"]
// CHECK-LABEL: func.func private @scatter_50x32
// CHECK:         kinds = ["reduction", "parallel"], {{.*}} sizes = array<i64: 32>}]}
func.func @updates(%x: tensor<50x4x8xf32>, %i: tensor<?x1x1xi64>, %s: tensor<?x4x8xf32>, %y: tensor<?x?xbf16>, %j: tensor<?x?xi64>, %u: tensor<?x?xbf16>) -> (tensor<50x4x8xf32>, tensor<?x?xbf16>) {
  %0 = "graph.scatter"(%x, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<50x4x8xf32>, tensor<?x1x1xi64>, tensor<?x4x8xf32>) -> tensor<50x4x8xf32>
  %1 = "graph.scatter"(%y, %j, %u) {axis = 1 : i64, kind = "replace"} : (tensor<?x?xbf16>, tensor<?x?xi64>, tensor<?x?xbf16>) -> tensor<?x?xbf16>
  return %0, %1 : tensor<50x4x8xf32>, tensor<?x?xbf16>
}

// -----

// Left: a table that is packed for a product.
// CHECK-LABEL: func.func @left
// CHECK:         "graph.embedding"{{.*}}why = "a table in blocks of rows"
func.func @left(%t: tensor<2x3x4xf32>, %j: tensor<?xi64>) -> tensor<?x3xf32> {
  %0 = "graph.embedding"(%t, %j) : (tensor<2x3x4xf32>, tensor<?xi64>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// -----

// A table that a product reads, too, is stored in that product's form, which IREE reads.
// CHECK-LABEL: func.func @tied
// CHECK:         "graph.embedding"{{.*}}why = "a table that is another op's weight, too: the form that is stored for that op is read"
"graph.parameter"() {sym_name = "w", type = tensor<50x16xf32>} : () -> ()
func.func @tied(%i: tensor<3xi64>) -> tensor<3x50xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<50x16xf32>
  %0 = "graph.embedding"(%w, %i) : (tensor<50x16xf32>, tensor<3xi64>) -> tensor<3x16xf32>
  %1 = "graph.matmul"(%0, %w) {transpose_rhs = true} : (tensor<3x16xf32>, tensor<50x16xf32>) -> tensor<3x50xf32>
  return %1 : tensor<3x50xf32>
}
