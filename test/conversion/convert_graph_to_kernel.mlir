// RUN: terrace-opt --convert-graph-to-kernel --split-input-file %s | filecheck %s

// A fused group is one kernel; leading dimensions of all its tensors become one; equal groups share the kernel.
// CHECK-LABEL: func.func private @matmul_add_relu_10x3
// CHECK-SAME:    (%arg0: tensor<10x7xf32>, %arg1: tensor<3x7xf32>, %arg2: tensor<1x3xf32>) -> tensor<10x3xf32>
// CHECK-NEXT:    "kernel.schedule"() {generator = "matmul", iteration_space = {kinds = ["parallel", "parallel",
// CHECK-SAME:      "reduction"], names = ["m", "n", "k"], sizes = array<i64: 10, 3, 7>}, schedule = {}} : () -> ()
// CHECK-NEXT:    %[[Y:.*]] = "graph.matmul"(%arg0, %arg1) {transpose_rhs = true}
// CHECK-NEXT:    %[[Z:.*]] = "graph.add"(%[[Y]], %arg2)
// CHECK-NEXT:    %[[R:.*]] = "graph.relu"(%[[Z]])
// CHECK-NEXT:    return %[[R]] : tensor<10x3xf32>
// CHECK-NOT:   func.func private
// CHECK-LABEL: func.func @fusion
// CHECK:         %[[ROWS:.*]] = "graph.reshape"(%arg0) : (tensor<2x5x7xf32>) -> tensor<10x7xf32>
// CHECK:         %[[CALL:.*]] = call @matmul_add_relu_10x3(%[[ROWS]], %arg1, %[[BIAS:.*]])
// CHECK-NEXT:    "graph.reshape"(%[[CALL]]) : (tensor<10x3xf32>) -> tensor<2x5x3xf32>
// CHECK:         call @matmul_add_relu_10x3(%{{.*}}, %arg2, %{{.*}})
func.func @fusion(%x: tensor<2x5x7xf32>, %w: tensor<3x7xf32>, %v: tensor<3x7xf32>, %b: tensor<3xf32>)
    -> (tensor<2x5x3xf32>, tensor<2x5x3xf32>) {
  %0 = "graph.fusion"() ({
    %2 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x5x7xf32>, tensor<3x7xf32>) -> tensor<2x5x3xf32>
    %3 = "graph.add"(%2, %b) : (tensor<2x5x3xf32>, tensor<3xf32>) -> tensor<2x5x3xf32>
    %4 = "graph.relu"(%3) : (tensor<2x5x3xf32>) -> tensor<2x5x3xf32>
    "graph.yield"(%4) : (tensor<2x5x3xf32>) -> ()
  }) : () -> tensor<2x5x3xf32>
  %1 = "graph.fusion"() ({
    %2 = "graph.matmul"(%x, %v) {transpose_rhs = true} : (tensor<2x5x7xf32>, tensor<3x7xf32>) -> tensor<2x5x3xf32>
    %3 = "graph.add"(%2, %b) : (tensor<2x5x3xf32>, tensor<3xf32>) -> tensor<2x5x3xf32>
    %4 = "graph.relu"(%3) : (tensor<2x5x3xf32>) -> tensor<2x5x3xf32>
    "graph.yield"(%4) : (tensor<2x5x3xf32>) -> ()
  }) : () -> tensor<2x5x3xf32>
  return %0, %1 : tensor<2x5x3xf32>, tensor<2x5x3xf32>
}

// -----

// A weight and an activation do not share a kernel: the weight's layout is chosen.
// CHECK-LABEL: func.func private @matmul_5x3_2(
// CHECK-LABEL: func.func private @matmul_5x3(
// CHECK-LABEL: func.func @weight
// CHECK:         call @matmul_5x3(%arg0, %{{.*}})
// CHECK:         call @matmul_5x3_2(%arg0, %arg1)
"graph.parameter"() {sym_name = "w", type = tensor<7x3xf32>} : () -> ()
func.func @weight(%x: tensor<5x7xf32>, %y: tensor<7x3xf32>) -> (tensor<5x3xf32>, tensor<5x3xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<7x3xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<5x7xf32>, tensor<7x3xf32>) -> tensor<5x3xf32>
  %1 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<5x7xf32>, tensor<7x3xf32>) -> tensor<5x3xf32>
  return %0, %1 : tensor<5x3xf32>, tensor<5x3xf32>
}

// -----

// Each `?` of a result is an argument, computed by the caller; collapsed ones are multiplied.
// CHECK-LABEL: func.func private @relu_d(%arg0: tensor<?xf32>, %arg1: index) -> tensor<?xf32>
// CHECK-LABEL: func.func @dynamic
// CHECK:         %[[N:.*]] = tensor.dim %arg0, %c0
// CHECK:         %[[M:.*]] = tensor.dim %arg0, %c2
// CHECK:         "graph.reshape"
// CHECK:         %[[NM:.*]] = arith.muli %[[N]], %[[M]]
// CHECK:         %[[ALL:.*]] = arith.muli %[[NM]], %c4
// CHECK:         %[[Y:.*]] = call @relu_d(%{{.*}}, %[[ALL]]) : (tensor<?xf32>, index) -> tensor<?xf32>
// CHECK:         "graph.reshape"(%[[Y]], %[[N]], %[[M]]) : (tensor<?xf32>, index, index) -> tensor<?x4x?xf32>
func.func @dynamic(%x: tensor<?x4x?xf32>) -> tensor<?x4x?xf32> {
  %0 = "graph.relu"(%x) : (tensor<?x4x?xf32>) -> tensor<?x4x?xf32>
  return %0 : tensor<?x4x?xf32>
}

// -----

// A scalar becomes a vector of one element; what broadcasts in two ways along collapsed dimensions is made large.
// CHECK-LABEL: func.func private @matmul_add_6x7
// CHECK-SAME:    %arg2: tensor<6x7xf32>
// CHECK-LABEL: func.func private @relu_1(%arg0: tensor<1xf32>) -> tensor<1xf32>
// CHECK-LABEL: func.func @collapse
// CHECK:         "graph.broadcast"(%arg2) : (tensor<3x7xf32>) -> tensor<2x3x7xf32>
func.func @collapse(%s: tensor<f32>, %x: tensor<2x3x5xf32>, %m: tensor<3x7xf32>, %w: tensor<5x7xf32>)
    -> (tensor<f32>, tensor<2x3x7xf32>) {
  %0 = "graph.relu"(%s) : (tensor<f32>) -> tensor<f32>
  %1 = "graph.fusion"() ({
    %2 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x3x5xf32>, tensor<5x7xf32>) -> tensor<2x3x7xf32>
    %3 = "graph.add"(%2, %m) : (tensor<2x3x7xf32>, tensor<3x7xf32>) -> tensor<2x3x7xf32>
    "graph.yield"(%3) : (tensor<2x3x7xf32>) -> ()
  }) : () -> tensor<2x3x7xf32>
  return %0, %1 : tensor<f32>, tensor<2x3x7xf32>
}

// -----

// What the root and its epilogue both read is two arguments: the root's may be laid out.
// CHECK-LABEL: func.func private @matmul_add_7x7
// CHECK-NEXT:    "kernel.schedule"
// CHECK-NEXT:    %[[Y:.*]] = "graph.matmul"(%arg0, %arg1)
// CHECK-NEXT:    "graph.add"(%[[Y]], %arg2)
// CHECK-LABEL: func.func @twice
// CHECK:         call @matmul_add_7x7(%arg0, %arg0, %arg0)
func.func @twice(%x: tensor<7x7xf32>) -> tensor<7x7xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.matmul"(%x, %x) {transpose_rhs = false} : (tensor<7x7xf32>, tensor<7x7xf32>) -> tensor<7x7xf32>
    %2 = "graph.add"(%1, %x) : (tensor<7x7xf32>, tensor<7x7xf32>) -> tensor<7x7xf32>
    "graph.yield"(%2) : (tensor<7x7xf32>) -> ()
  }) : () -> tensor<7x7xf32>
  return %0 : tensor<7x7xf32>
}

// -----

// A kernel of two results, whose `?` sizes are given for each; the values keep their order.
// CHECK-LABEL: func.func private @matmul_add_relu_dx7
// CHECK-SAME:    (%{{.*}}, %{{.*}}, %{{.*}}, %arg3: index, %arg4: index) -> (tensor<?x7xf32>, tensor<?x7xf32>)
// CHECK:         %[[SUM:.*]] = "graph.add"
// CHECK-NEXT:    %[[RELU:.*]] = "graph.relu"(%[[SUM]])
// CHECK-NEXT:    return %[[RELU]], %[[SUM]]
// CHECK-LABEL: func.func @two
// CHECK:         %[[SIZE:.*]] = tensor.dim %arg0
// CHECK:         %[[Y:.*]]:2 = call @matmul_add_relu_dx7(%arg0, %arg1, %arg2, %[[SIZE]], %[[SIZE]])
// CHECK:         return %[[Y]]#0, %[[Y]]#1
func.func @two(%x: tensor<?x5xf32>, %w: tensor<5x7xf32>, %r: tensor<?x7xf32>) -> (tensor<?x7xf32>, tensor<?x7xf32>) {
  %0:2 = "graph.fusion"() ({
    %1 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<?x5xf32>, tensor<5x7xf32>) -> tensor<?x7xf32>
    %2 = "graph.add"(%1, %r) : (tensor<?x7xf32>, tensor<?x7xf32>) -> tensor<?x7xf32>
    %3 = "graph.relu"(%2) : (tensor<?x7xf32>) -> tensor<?x7xf32>
    "graph.yield"(%3, %2) : (tensor<?x7xf32>, tensor<?x7xf32>) -> ()
  }) : () -> (tensor<?x7xf32>, tensor<?x7xf32>)
  return %0#0, %0#1 : tensor<?x7xf32>, tensor<?x7xf32>
}

// -----

// What no generator takes stays, and says why.
// CHECK-LABEL: func.func @stays
// CHECK-NEXT:    "graph.relu"(%arg0) {why = "element type f8E5M2"}
// CHECK-NEXT:    "graph.matmul"(%arg1, %arg1) {transpose_rhs = false, why = "element type f64 of graph.matmul"}
// CHECK-NEXT:    "graph.conv2d"(%arg2, %arg3) {{.*}}why = "layout NCHW; choose-layout makes it NHWC"}
// CHECK-NEXT:    "graph.relu"(%arg4) {why = "it has no elements"}
// CHECK-NEXT:    "graph.softmax"(%arg1) {axis = 1 : i64, why = "element type f64 of graph.softmax"}
// CHECK-NEXT:    return
func.func @stays(%h: tensor<4xf8E5M2>, %d: tensor<4x4xf64>, %i: tensor<1x2x4x4xf32>, %w: tensor<3x2x1x1xf32>,
                 %e: tensor<0x4xf32>) {
  %0 = "graph.relu"(%h) : (tensor<4xf8E5M2>) -> tensor<4xf8E5M2>
  %1 = "graph.matmul"(%d, %d) {transpose_rhs = false} : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xf64>
  %2 = "graph.conv2d"(%i, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NCHW"} : (tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>) -> tensor<1x3x4x4xf32>
  %3 = "graph.relu"(%e) : (tensor<0x4xf32>) -> tensor<0x4xf32>
  %4 = "graph.softmax"(%d) {axis = 1 : i64} : (tensor<4x4xf64>) -> tensor<4x4xf64>
  return
}

// -----

// Softmax along any dimension: those before it become one, or one of size 1, and those behind it.
// CHECK-LABEL: func.func private @softmax_dx2xd
// CHECK:         names = ["m", "n", "l"], sizes = array<i64: -9223372036854775808, 2, -9223372036854775808>
// CHECK:         "graph.softmax"(%arg0) {axis = 1 : i64} : (tensor<?x2x?xf32>) -> tensor<?x2x?xf32>
// CHECK-LABEL: func.func private @softmax_1x3x20
// CHECK:         "graph.softmax"(%arg0) {axis = 1 : i64} : (tensor<1x3x20xf32>) -> tensor<1x3x20xf32>
// CHECK-LABEL: func.func @softmax
func.func @softmax(%x: tensor<3x4x5xf32>, %y: tensor<?x7x2x?x9xf32>) -> (tensor<3x4x5xf32>, tensor<?x7x2x?x9xf32>) {
  %0 = "graph.softmax"(%x) {axis = 0 : i64} : (tensor<3x4x5xf32>) -> tensor<3x4x5xf32>
  %1 = "graph.softmax"(%y) {axis = 2 : i64} : (tensor<?x7x2x?x9xf32>) -> tensor<?x7x2x?x9xf32>
  return %0, %1 : tensor<3x4x5xf32>, tensor<?x7x2x?x9xf32>
}

// -----

// Half precisions are types like others; sums of them may be f32.
// CHECK-LABEL: func.func private @matmul_
// CHECK:         "graph.matmul"(%arg0, %arg1) {transpose_rhs = false} : (tensor<4x5xbf16>, tensor<5x3xbf16>) -> tensor<4x3xf32>
// CHECK-LABEL: func.func @half
// CHECK-NOT:     why
func.func @half(%x: tensor<4x5xbf16>, %y: tensor<5x3xbf16>, %h: tensor<4xf16>) -> (tensor<4x3xf32>, tensor<4xf16>) {
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<4x5xbf16>, tensor<5x3xbf16>) -> tensor<4x3xf32>
  %1 = "graph.relu"(%h) : (tensor<4xf16>) -> tensor<4xf16>
  return %0, %1 : tensor<4x3xf32>, tensor<4xf16>
}

// -----

// CHECK-LABEL: func.func @constant_result
// CHECK:         "graph.fusion"() ({
// CHECK:         }) {why = "a result that is a constant"}
func.func @constant_result(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0:2 = "graph.fusion"() ({
    %1 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %2 = arith.constant dense<1.0> : tensor<4xf32>
    "graph.yield"(%1, %2) : (tensor<4xf32>, tensor<4xf32>) -> ()
  }) : () -> (tensor<4xf32>, tensor<4xf32>)
  return %0#0, %0#1 : tensor<4xf32>, tensor<4xf32>
}

// -----

// An epilogue that repeats the root's result: the kernel would read rows that lhs has not.
// CHECK-LABEL: func.func @larger
// CHECK:         }) {why = "results that are larger than that of graph.matmul"}
func.func @larger(%x: tensor<1x5xf32>, %w: tensor<5x6xf32>, %y: tensor<8x6xf32>) -> tensor<8x6xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<1x5xf32>, tensor<5x6xf32>) -> tensor<1x6xf32>
    %2 = "graph.add"(%1, %y) : (tensor<1x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
    "graph.yield"(%2) : (tensor<8x6xf32>) -> ()
  }) : () -> tensor<8x6xf32>
  return %0 : tensor<8x6xf32>
}

// -----

// Results of several types: each is one of the kernel's.
// CHECK-LABEL: func.func private @neg_cast_4(
// CHECK:         %[[NEG:.*]] = "graph.neg"(%arg0)
// CHECK-NEXT:    %[[INT:.*]] = "graph.cast"(%[[NEG]])
// CHECK-NEXT:    return %[[NEG]], %[[INT]]
// CHECK-LABEL: func.func @two_types
// CHECK-NEXT:    %[[BOTH:.*]]:2 = call @neg_cast_4(%arg0) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi32>)
// CHECK-NEXT:    return %[[BOTH]]#0, %[[BOTH]]#1
func.func @two_types(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi32>) {
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

// A splat is a scalar in a kernel. Where nothing else has the result's shape, a scalar gets it.
// CHECK-LABEL: func.func private @add_mul_6(%arg0: tensor<6xf32>) -> tensor<6xf32>
// CHECK-LABEL: func.func private @add_1(%arg0: tensor<1xf32>) -> tensor<1xf32>
// CHECK-LABEL: func.func @splats
// CHECK:         "graph.reshape"(%arg0) : (tensor<f32>) -> tensor<1xf32>
// CHECK:         "graph.broadcast"(%arg0) : (tensor<f32>) -> tensor<6xf32>
func.func @splats(%x: tensor<f32>) -> (tensor<1xf32>, tensor<2x3xf32>) {
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %0 = "graph.add"(%x, %one) : (tensor<f32>, tensor<1xf32>) -> tensor<1xf32>
  %1 = "graph.fusion"() ({
    %six = arith.constant dense<1.0> : tensor<2x3xf32>
    %2 = "graph.add"(%x, %six) : (tensor<f32>, tensor<2x3xf32>) -> tensor<2x3xf32>
    %3 = "graph.mul"(%2, %x) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
    "graph.yield"(%3) : (tensor<2x3xf32>) -> ()
  }) : () -> tensor<2x3xf32>
  return %0, %1 : tensor<1xf32>, tensor<2x3xf32>
}
