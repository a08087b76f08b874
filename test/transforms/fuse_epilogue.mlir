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

// A value that is also used elsewhere has to be stored: what takes longer than reading it stays outside.
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

// Refused: the product would have to be stretched, a float8 that leaves the kernel, a reduction.
// CHECK-LABEL: func.func @refused
// CHECK-NOT:     graph.fusion
// CHECK:         return
func.func @refused(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>, %big: tensor<3x2x4xf32>)
    -> (tensor<3x2x4xf32>, tensor<2x4xf8E5M2>, tensor<2x1xf32>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %1 = "graph.add"(%0, %big) : (tensor<2x4xf32>, tensor<3x2x4xf32>) -> tensor<3x2x4xf32>
  %2 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %3 = "graph.cast"(%2) : (tensor<2x4xf32>) -> tensor<2x4xf8E5M2>
  %4 = "graph.matmul"(%2, %w) {transpose_rhs = true} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %5 = "graph.reduce"(%4) {kind = "max", axes = array<i64: 1>, keepdims = true} : (tensor<2x4xf32>) -> tensor<2x1xf32>
  return %1, %3, %5 : tensor<3x2x4xf32>, tensor<2x4xf8E5M2>, tensor<2x1xf32>
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

// A mask is read like other operands.
// CHECK-LABEL: func.func @reads_booleans
// CHECK:         %[[FUSED:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.matmul
// CHECK-NEXT:      %[[RELU:.*]] = "graph.relu"
// CHECK-NEXT:      "graph.select"(%arg2, %[[RELU]], %arg3)
// CHECK-NEXT:      graph.yield
// CHECK:         return %[[FUSED]]
func.func @reads_booleans(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>, %mask: tensor<?x4xi1>, %other: tensor<f32>)
    -> tensor<?x4xf32> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.relu"(%0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.select"(%mask, %1, %other) : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %2 : tensor<?x4xf32>
}

// -----

// Both sums are given, side by side; what only they read is not.
// CHECK-LABEL: func.func @two_results
// CHECK-NEXT:    %[[BOTH:.*]]:2 = "graph.fusion"() ({
// CHECK-NEXT:      %[[Y:.*]] = "graph.matmul"
// CHECK-NEXT:      %[[H:.*]] = "graph.add"(%[[Y]], %arg2)
// CHECK-NEXT:      %[[RELU:.*]] = "graph.relu"(%[[H]])
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%[[H]], %arg3)
// CHECK-NEXT:      "graph.yield"(%[[RELU]], %[[SUM]])
// CHECK:         return %[[BOTH]]#0, %[[BOTH]]#1
func.func @two_results(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>, %b: tensor<4xf32>, %skip: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.add"(%0, %b) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %2 = "graph.relu"(%1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = "graph.add"(%1, %skip) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %2, %3 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// Results of two types are one tuple. An op outside that reads one of them comes after all, the sum that needs what that
// op computes stays outside, and so does a cast to float8, which no kernel stores.
// CHECK-LABEL: func.func @read_by_others
// CHECK-NEXT:    %[[TUPLE:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      %[[Y:.*]] = "graph.matmul"
// CHECK-NEXT:      %[[H:.*]] = "graph.relu"(%[[Y]])
// CHECK-NEXT:      %[[WHOLE:.*]] = "graph.cast"(%[[H]])
// CHECK-NEXT:      %[[GIVEN:.*]] = builtin.unrealized_conversion_cast %[[H]], %[[WHOLE]]
// CHECK-NEXT:      "graph.yield"(%[[GIVEN]])
// CHECK-NEXT:    }) : () -> tuple<tensor<?x4xf32>, tensor<?x4xi32>>
// CHECK-NEXT:    %[[R:.*]]:2 = builtin.unrealized_conversion_cast %[[TUPLE]]
// CHECK-NEXT:    %[[SOFTMAX:.*]] = "graph.softmax"(%[[R]]#0)
// CHECK-NEXT:    %[[NARROW:.*]] = "graph.cast"(%[[R]]#0)
// CHECK-NEXT:    %[[SUM:.*]] = "graph.add"(%[[SOFTMAX]], %[[R]]#0)
// CHECK-NEXT:    return %[[SUM]], %[[R]]#1, %[[NARROW]]
func.func @read_by_others(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xi32>, tensor<?x4xf8E5M2>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.relu"(%0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.softmax"(%1) {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = "graph.cast"(%1) : (tensor<?x4xf32>) -> tensor<?x4xf8E5M2>
  %4 = "graph.cast"(%1) : (tensor<?x4xf32>) -> tensor<?x4xi32>
  %5 = "graph.add"(%2, %1) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %5, %4, %3 : tensor<?x4xf32>, tensor<?x4xi32>, tensor<?x4xf8E5M2>
}

// -----

// The first product is stored in either case: the sum keeps the second one in registers, not the first.
// CHECK-LABEL: func.func @cheaper_elsewhere
// CHECK-NEXT:    %[[FIRST:.*]] = "graph.matmul"(%arg0, %arg1)
// CHECK-NEXT:    %[[SOFTMAX:.*]] = "graph.softmax"(%[[FIRST]])
// CHECK-NEXT:    %[[SUM:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      %[[SECOND:.*]] = "graph.matmul"(%arg1, %arg0)
// CHECK-NEXT:      "graph.add"(%[[FIRST]], %[[SECOND]])
// CHECK:         return %[[SOFTMAX]], %[[SUM]]
func.func @cheaper_elsewhere(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = "graph.softmax"(%0) {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %2 = "graph.matmul"(%w, %x) {transpose_rhs = false} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %3 = "graph.add"(%0, %2) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1, %3 : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// A kernel reads and gives 25 tensors at most: 2 operands, the product and 22 multiples of it.
// CHECK-LABEL: func.func @many_results
// CHECK:         %[[FUSED:.*]]:23 = "graph.fusion"() ({
// CHECK-NEXT:      graph.matmul
// CHECK-COUNT-22:  graph.mul
// CHECK-NEXT:      graph.yield
// CHECK:         "graph.mul"(%[[FUSED]]#0
// CHECK-NEXT:    "graph.mul"(%[[FUSED]]#0
// CHECK-NEXT:    return
func.func @many_results(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %n0 = arith.constant dense<0.5> : tensor<f32>
  %n1 = arith.constant dense<1.5> : tensor<f32>
  %n2 = arith.constant dense<2.5> : tensor<f32>
  %n3 = arith.constant dense<3.5> : tensor<f32>
  %n4 = arith.constant dense<4.5> : tensor<f32>
  %n5 = arith.constant dense<5.5> : tensor<f32>
  %n6 = arith.constant dense<6.5> : tensor<f32>
  %n7 = arith.constant dense<7.5> : tensor<f32>
  %n8 = arith.constant dense<8.5> : tensor<f32>
  %n9 = arith.constant dense<9.5> : tensor<f32>
  %n10 = arith.constant dense<10.5> : tensor<f32>
  %n11 = arith.constant dense<11.5> : tensor<f32>
  %n12 = arith.constant dense<12.5> : tensor<f32>
  %n13 = arith.constant dense<13.5> : tensor<f32>
  %n14 = arith.constant dense<14.5> : tensor<f32>
  %n15 = arith.constant dense<15.5> : tensor<f32>
  %n16 = arith.constant dense<16.5> : tensor<f32>
  %n17 = arith.constant dense<17.5> : tensor<f32>
  %n18 = arith.constant dense<18.5> : tensor<f32>
  %n19 = arith.constant dense<19.5> : tensor<f32>
  %n20 = arith.constant dense<20.5> : tensor<f32>
  %n21 = arith.constant dense<21.5> : tensor<f32>
  %n22 = arith.constant dense<22.5> : tensor<f32>
  %n23 = arith.constant dense<23.5> : tensor<f32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %1 = "graph.mul"(%0, %n0) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %2 = "graph.mul"(%0, %n1) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %3 = "graph.mul"(%0, %n2) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %4 = "graph.mul"(%0, %n3) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %5 = "graph.mul"(%0, %n4) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %6 = "graph.mul"(%0, %n5) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %7 = "graph.mul"(%0, %n6) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %8 = "graph.mul"(%0, %n7) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %9 = "graph.mul"(%0, %n8) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %10 = "graph.mul"(%0, %n9) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %11 = "graph.mul"(%0, %n10) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %12 = "graph.mul"(%0, %n11) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %13 = "graph.mul"(%0, %n12) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %14 = "graph.mul"(%0, %n13) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %15 = "graph.mul"(%0, %n14) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %16 = "graph.mul"(%0, %n15) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %17 = "graph.mul"(%0, %n16) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %18 = "graph.mul"(%0, %n17) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %19 = "graph.mul"(%0, %n18) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %20 = "graph.mul"(%0, %n19) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %21 = "graph.mul"(%0, %n20) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %22 = "graph.mul"(%0, %n21) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %23 = "graph.mul"(%0, %n22) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %24 = "graph.mul"(%0, %n23) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  return %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// Alone: a look-up, which the families of the default, those of every machine, do not run.
// CHECK-LABEL: func.func @look_up
// CHECK-NOT:     graph.fusion
// CHECK:         return
func.func @look_up(%t: tensor<50x4xf32>, %i: tensor<3xi64>, %y: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %0 = "graph.embedding"(%t, %i) : (tensor<50x4xf32>, tensor<3xi64>) -> tensor<3x4xf32>
  %1 = "graph.add"(%0, %y) : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  return %1 : tensor<3x4xf32>
}
