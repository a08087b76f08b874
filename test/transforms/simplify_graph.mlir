// RUN: terrace-opt --simplify-graph --split-input-file %s | filecheck %s

// Chains of reshapes and permutes become one op, or none.
// CHECK-LABEL: func.func @layout_chains
// CHECK-NEXT:    %[[R:.*]] = "graph.reshape"(%arg0, %arg2) : (tensor<?x6xf32>, index) -> tensor<?x3xf32>
// CHECK-NEXT:    %[[P:.*]] = "graph.permute"(%arg1) {permutation = array<i64: 2, 0, 1>}
// CHECK-NEXT:    return %arg0, %[[R]], %arg1, %[[P]]
func.func @layout_chains(%x: tensor<?x6xf32>, %y: tensor<2x?x4xf32>, %n: index, %m: index)
    -> (tensor<?x6xf32>, tensor<?x3xf32>, tensor<2x?x4xf32>, tensor<4x2x?xf32>) {
  %0 = "graph.reshape"(%x, %m) : (tensor<?x6xf32>, index) -> tensor<?x2xf32>
  %1 = "graph.reshape"(%0, %n) : (tensor<?x2xf32>, index) -> tensor<?x3xf32>
  %2 = "graph.reshape"(%0, %m) : (tensor<?x2xf32>, index) -> tensor<?x6xf32>
  %3 = "graph.permute"(%y) {permutation = array<i64: 1, 2, 0>} : (tensor<2x?x4xf32>) -> tensor<?x4x2xf32>
  %4 = "graph.permute"(%3) {permutation = array<i64: 2, 0, 1>} : (tensor<?x4x2xf32>) -> tensor<2x?x4xf32>
  %5 = "graph.permute"(%3) {permutation = array<i64: 1, 2, 0>} : (tensor<?x4x2xf32>) -> tensor<4x2x?xf32>
  return %2, %1, %4, %5 : tensor<?x6xf32>, tensor<?x3xf32>, tensor<2x?x4xf32>, tensor<4x2x?xf32>
}

// -----

// A permute that moves sizes of 1 only is a reshape; not one that moves a ?, or other sizes past each other.
// CHECK-LABEL: func.func @moved_ones
// CHECK-NEXT:    %[[A:.*]] = "graph.reshape"(%arg0) : (tensor<3x1x4xf32>) -> tensor<1x3x4xf32>
// CHECK-NEXT:    %[[B:.*]] = "graph.permute"(%arg0) {permutation = array<i64: 2, 1, 0>}
// CHECK-NEXT:    %[[C:.*]] = "graph.permute"(%arg1) {permutation = array<i64: 1, 0>}
// CHECK-NEXT:    return %[[A]], %[[B]], %[[C]]
func.func @moved_ones(%x: tensor<3x1x4xf32>, %y: tensor<?x1xf32>) -> (tensor<1x3x4xf32>, tensor<4x1x3xf32>, tensor<1x?xf32>) {
  %0 = "graph.permute"(%x) {permutation = array<i64: 1, 0, 2>} : (tensor<3x1x4xf32>) -> tensor<1x3x4xf32>
  %1 = "graph.permute"(%x) {permutation = array<i64: 2, 1, 0>} : (tensor<3x1x4xf32>) -> tensor<4x1x3xf32>
  %2 = "graph.permute"(%y) {permutation = array<i64: 1, 0>} : (tensor<?x1xf32>) -> tensor<1x?xf32>
  return %0, %1, %2 : tensor<1x3x4xf32>, tensor<4x1x3xf32>, tensor<1x?xf32>
}

// -----

// Ops that do nothing go, and so does what nobody uses.
// CHECK-LABEL: func.func @identities
// CHECK-NEXT:    return %arg0, %arg1 : tensor<2x?xf32>, tensor<2x4xi32>
func.func @identities(%x: tensor<2x?xf32>, %i: tensor<2x4xi32>) -> (tensor<2x?xf32>, tensor<2x4xi32>) {
  %one = arith.constant dense<1.0> : tensor<2x1xf32>
  %minus_zero = arith.constant dense<-0.0> : tensor<f32>
  %zero = arith.constant dense<0.0> : tensor<1xf32>
  %izero = arith.constant dense<0> : tensor<2x4xi32>
  %0 = "graph.mul"(%one, %x) : (tensor<2x1xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
  %1 = "graph.add"(%0, %minus_zero) : (tensor<2x?xf32>, tensor<f32>) -> tensor<2x?xf32>
  %2 = "graph.sub"(%1, %zero) : (tensor<2x?xf32>, tensor<1xf32>) -> tensor<2x?xf32>
  %3 = "graph.cast"(%2) : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %5 = "graph.slice"(%3) {starts = array<i64: 0, 0>, stops = array<i64: 2, -1>, steps = array<i64: 1, 1>}
    : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %6 = "graph.pad"(%5) {low = array<i64: 0, 0>, high = array<i64: 0, 0>, value = 1.0 : f64} : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %7 = "graph.add"(%i, %izero) : (tensor<2x4xi32>, tensor<2x4xi32>) -> tensor<2x4xi32>
  %8 = "graph.broadcast"(%7) : (tensor<2x4xi32>) -> tensor<2x4xi32>
  %dead = "graph.exp"(%6) : (tensor<2x?xf32>) -> tensor<2x?xf32>
  return %6, %8 : tensor<2x?xf32>, tensor<2x4xi32>
}

// -----

// Left alone: x + 0.0 turns -0.0 into 0.0; a constant or a broadcast may stretch a `?`; two `?` may trade places.
// CHECK-LABEL: func.func @not_identities
// CHECK:         graph.add
// CHECK:         graph.mul
// CHECK:         graph.broadcast
// CHECK:         graph.reshape
// CHECK-NEXT:    return
func.func @not_identities(%x: tensor<4xf32>, %y: tensor<?xf32>, %z: tensor<?x?xf32>, %n: index)
    -> (tensor<4xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x?xf32>) {
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %one = arith.constant dense<1.0> : tensor<4xf32>
  %0 = "graph.add"(%x, %zero) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.mul"(%y, %one) : (tensor<?xf32>, tensor<4xf32>) -> tensor<?xf32>
  %2 = "graph.broadcast"(%y, %n) : (tensor<?xf32>, index) -> tensor<?xf32>
  %3 = "graph.reshape"(%z, %n, %n) : (tensor<?x?xf32>, index, index) -> tensor<?x?xf32>
  return %0, %1, %2, %3 : tensor<4xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x?xf32>
}

// -----

// A convolution by 1x1 windows is a matmul; with a stride it is not.
// CHECK-LABEL: func.func @pointwise
// CHECK-NEXT:    %[[W:.*]] = "graph.reshape"(%arg1) : (tensor<5x3x1x1xf32>) -> tensor<5x3xf32>
// CHECK-NEXT:    "graph.matmul"(%arg0, %[[W]]) {transpose_rhs = true} : {{.*}} -> tensor<?x?x8x5xf32>
// CHECK-NEXT:    graph.conv2d
// CHECK-NEXT:    return
func.func @pointwise(%x: tensor<?x?x8x3xf32>, %w: tensor<5x3x1x1xf32>) -> (tensor<?x?x8x5xf32>, tensor<?x?x4x5xf32>) {
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC"}
    : (tensor<?x?x8x3xf32>, tensor<5x3x1x1xf32>) -> tensor<?x?x8x5xf32>
  %1 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC"}
    : (tensor<?x?x8x3xf32>, tensor<5x3x1x1xf32>) -> tensor<?x?x4x5xf32>
  return %0, %1 : tensor<?x?x8x5xf32>, tensor<?x?x4x5xf32>
}

// -----

// Transposed right-hand sides are read the other way round; a permute that moves batches is not one.
// CHECK-LABEL: func.func @transposed
// CHECK-NEXT:    "graph.matmul"(%arg0, %arg1) {transpose_rhs = true}
// CHECK-NEXT:    "graph.batch_matmul"(%arg2, %arg2) {transpose_rhs = false}
// CHECK-NEXT:    %[[P:.*]] = "graph.permute"
// CHECK-NEXT:    "graph.batch_matmul"(%arg2, %[[P]]) {transpose_rhs = false}
// CHECK-NEXT:    return
func.func @transposed(%x: tensor<?x4xf32>, %w: tensor<6x4xf32>, %b: tensor<2x2x2xf32>)
    -> (tensor<?x6xf32>, tensor<2x2x2xf32>, tensor<2x2x2xf32>) {
  %0 = "graph.permute"(%w) {permutation = array<i64: 1, 0>} : (tensor<6x4xf32>) -> tensor<4x6xf32>
  %1 = "graph.matmul"(%x, %0) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %2 = "graph.permute"(%b) {permutation = array<i64: 0, 2, 1>} : (tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %3 = "graph.batch_matmul"(%b, %2) {transpose_rhs = true} : (tensor<2x2x2xf32>, tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %4 = "graph.permute"(%b) {permutation = array<i64: 1, 0, 2>} : (tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %5 = "graph.batch_matmul"(%b, %4) {transpose_rhs = false} : (tensor<2x2x2xf32>, tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  return %1, %3, %5 : tensor<?x6xf32>, tensor<2x2x2xf32>, tensor<2x2x2xf32>
}
