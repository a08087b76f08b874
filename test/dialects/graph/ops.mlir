// RUN: terrace-opt %s | terrace-opt | filecheck %s

// Every op of the graph dialect prints what it parsed.

// CHECK: "graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()

// CHECK: "graph.constant"() ({
// CHECK:   "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
// CHECK:   "graph.yield"(%{{.*}}) : (tensor<4x4xf32>) -> ()
// CHECK: }) {sym_name = "c", type = tensor<4x4xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  "graph.yield"(%0) : (tensor<4x4xf32>) -> ()
}) {sym_name = "c", type = tensor<4x4xf32>} : () -> ()

// CHECK: "graph.constant"() ({
// CHECK:   builtin.unrealized_conversion_cast %{{.*}}, %{{.*}} : tensor<4x4xf32>, tensor<4x4xi1> to tuple<
// CHECK: }) {sym_name = "several", type = tuple<tensor<4x4xf32>, tensor<4x4xi1>>} : () -> ()
// CHECK: "graph.part"() {constant = @several, number = 1 : i64, sym_name = "mask", type = tensor<4x4xi1>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %1 = "graph.compare"(%0, %0) {predicate = "eq"} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xi1>
  %2 = builtin.unrealized_conversion_cast %0, %1 : tensor<4x4xf32>, tensor<4x4xi1> to tuple<tensor<4x4xf32>, tensor<4x4xi1>>
  "graph.yield"(%2) : (tuple<tensor<4x4xf32>, tensor<4x4xi1>>) -> ()
}) {sym_name = "several", type = tuple<tensor<4x4xf32>, tensor<4x4xi1>>} : () -> ()
"graph.part"() {sym_name = "mask", type = tensor<4x4xi1>, constant = @several, number = 1 : i64} : () -> ()

// CHECK: "graph.state"() {initial = @w, sym_name = "s", type = tensor<4x4xf32>} : () -> ()
"graph.state"() {initial = @w, sym_name = "s", type = tensor<4x4xf32>} : () -> ()

// CHECK-LABEL: func.func @values
func.func @values(%x: tensor<4x4xf32>) {
  // CHECK: "graph.load"({{.*}}) {symbol = @c} : () -> tensor<4x4xf32>
  %0 = "graph.load"() {symbol = @c} : () -> tensor<4x4xf32>
  // CHECK: "graph.load_state"({{.*}}) {symbol = @s} : () -> tensor<4x4xf32>
  %1 = "graph.load_state"() {symbol = @s} : () -> tensor<4x4xf32>
  // CHECK: "graph.store_state"({{.*}}) {symbol = @s} : (tensor<4x4xf32>) -> ()
  "graph.store_state"(%x) {symbol = @s} : (tensor<4x4xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @fusion
func.func @fusion(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // CHECK: "graph.fusion"() ({
  // CHECK:   "graph.relu"(%arg0)
  // CHECK:   "graph.yield"(
  // CHECK: }) : () -> tensor<?x4xf32>
  %0 = "graph.fusion"() ({
    %1 = "graph.relu"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    "graph.yield"(%1) : (tensor<?x4xf32>) -> ()
  }) : () -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @fusion_of_two_types
// CHECK:         "graph.yield"(%{{.*}}) : (tuple<tensor<4xf32>, tensor<4xi32>>) -> ()
// CHECK:         %{{.*}}:2 = builtin.unrealized_conversion_cast
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

// CHECK-LABEL: func.func @unary
func.func @unary(%x: tensor<?x4xf32>) {
  // CHECK: "graph.abs"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = "graph.abs"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.ceil"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.ceil"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.cos"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.cos"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.erf"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = "graph.erf"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.exp"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %4 = "graph.exp"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.expm1"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %expm1 = "graph.expm1"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.floor"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %5 = "graph.floor"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.hardsigmoid"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %6 = "graph.hardsigmoid"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.hardswish"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %7 = "graph.hardswish"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.log"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %8 = "graph.log"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.log1p"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %log1p = "graph.log1p"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.neg"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %9 = "graph.neg"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.relu"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %10 = "graph.relu"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.rsqrt"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %11 = "graph.rsqrt"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.sigmoid"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %12 = "graph.sigmoid"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.silu"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %13 = "graph.silu"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.sin"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %14 = "graph.sin"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.sqrt"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %15 = "graph.sqrt"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.tanh"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %16 = "graph.tanh"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.gelu"({{.*}}) {approximate = "none"} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %17 = "graph.gelu"(%x) {approximate = "none"} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.cast"({{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xi32>
  %18 = "graph.cast"(%x) : (tensor<?x4xf32>) -> tensor<?x4xi32>
  return
}

// CHECK-LABEL: func.func @binary
func.func @binary(%x: tensor<?x4xf32>, %y: tensor<4xf32>, %c: tensor<1x4xi1>) {
  // CHECK: "graph.add"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %0 = "graph.add"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.sub"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %1 = "graph.sub"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.mul"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %2 = "graph.mul"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.div"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %3 = "graph.div"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.pow"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %4 = "graph.pow"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.maximum"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %5 = "graph.maximum"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.minimum"({{.*}}) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %6 = "graph.minimum"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: "graph.compare"({{.*}}) {predicate = "le"} : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xi1>
  %7 = "graph.compare"(%x, %y) {predicate = "le"} : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xi1>
  // CHECK: "graph.select"({{.*}}) : (tensor<1x4xi1>, tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %8 = "graph.select"(%c, %x, %y) : (tensor<1x4xi1>, tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// CHECK-LABEL: func.func @contractions
func.func @contractions(%a: tensor<2x?x4xf32>, %w: tensor<6x4xf32>, %b: tensor<2x4x?xf32>, %x: tensor<?x8x9x9xf32>, %k: tensor<6x4x3x3xf32>, %t: tensor<8x2x3x3xf32>, %m: tensor<?x?xf32>, %q: tensor<?x6x?x4xf32>, %g: tensor<?x2x?x4xf32>, %r: tensor<?x?x6x4xf32>) {
  // CHECK: "graph.matmul"({{.*}}) {transpose_rhs = true} : (tensor<2x?x4xf32>, tensor<6x4xf32>) -> tensor<2x?x6xf32>
  %0 = "graph.matmul"(%a, %w) {transpose_rhs = true} : (tensor<2x?x4xf32>, tensor<6x4xf32>) -> tensor<2x?x6xf32>
  // CHECK: "graph.batch_matmul"({{.*}}) {transpose_rhs = false} : (tensor<2x?x4xf32>, tensor<2x4x?xf32>) -> tensor<2x?x?xf32>
  %1 = "graph.batch_matmul"(%a, %b) {transpose_rhs = false} : (tensor<2x?x4xf32>, tensor<2x4x?xf32>) -> tensor<2x?x?xf32>
  // CHECK: "graph.conv2d"({{.*}}) {dilations = array<i64: 1, 1>, groups = 2 : i64, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>, tensor<6x4x3x3xf32>) -> tensor<?x6x5x5xf32>
  %2 = "graph.conv2d"(%x, %k) {dilations = array<i64: 1, 1>, groups = 2 : i64, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>, tensor<6x4x3x3xf32>) -> tensor<?x6x5x5xf32>
  // CHECK: "graph.conv_transpose2d"({{.*}}) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW", output_padding = array<i64: 1, 1>, padding = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>, tensor<8x2x3x3xf32>) -> tensor<?x2x18x18xf32>
  %3 = "graph.conv_transpose2d"(%x, %t) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW", output_padding = array<i64: 1, 1>, padding = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>, tensor<8x2x3x3xf32>) -> tensor<?x2x18x18xf32>
  // CHECK: "graph.attention"({{.*}}) {is_causal = false, scale = 5.000000e-01 : f64} : (tensor<2x?x4xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>, tensor<?x?xf32>) -> tensor<2x?x4xf32>
  %4 = "graph.attention"(%a, %a, %a, %m) {is_causal = false, scale = 5.000000e-01 : f64} : (tensor<2x?x4xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>, tensor<?x?xf32>) -> tensor<2x?x4xf32>
  // CHECK: "graph.attention"({{.*}}) {is_causal = true, scale = 5.000000e-01 : f64} : (tensor<?x6x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x6x?x4xf32>
  %5 = "graph.attention"(%q, %g, %g) {is_causal = true, scale = 5.000000e-01 : f64} : (tensor<?x6x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x6x?x4xf32>
  // CHECK: "graph.attention"({{.*}}) {inner_heads = array<i64: 0, 3>, is_causal = true, scale = 5.000000e-01 : f64} : (tensor<?x?x6x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x?x6x4xf32>
  %6 = "graph.attention"(%r, %g, %g) {inner_heads = array<i64: 0, 3>, is_causal = true, scale = 5.000000e-01 : f64} : (tensor<?x?x6x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x?x6x4xf32>
  return
}

// CHECK-LABEL: func.func @pools
func.func @pools(%x: tensor<?x8x9x9xf32>) {
  // CHECK: "graph.max_pool2d"({{.*}}) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>) -> tensor<?x8x5x5xf32>
  %0 = "graph.max_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>) -> tensor<?x8x5x5xf32>
  // CHECK: "graph.avg_pool2d"({{.*}}) {ceil_mode = false, count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>) -> tensor<?x8x5x5xf32>
  %1 = "graph.avg_pool2d"(%x) {ceil_mode = false, count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, layout = "NCHW", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<?x8x9x9xf32>) -> tensor<?x8x5x5xf32>
  return
}

// CHECK-LABEL: func.func @norms
func.func @norms(%x: tensor<?x8x9x9xf32>, %v: tensor<8xf32>, %y: tensor<?x8xf32>) {
  // CHECK: "graph.batch_norm"({{.*}}) {axis = 1 : i64, epsilon = 1.000000e-05 : f64} : (tensor<?x8x9x9xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8x9x9xf32>
  %0 = "graph.batch_norm"(%x, %v, %v, %v, %v) {axis = 1 : i64, epsilon = 1.000000e-05 : f64} : (tensor<?x8x9x9xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8x9x9xf32>
  // CHECK: "graph.layer_norm"({{.*}}) {epsilon = 1.000000e-05 : f64} : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %1 = "graph.layer_norm"(%y, %v, %v) {epsilon = 1.000000e-05 : f64} : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // CHECK: "graph.rms_norm"({{.*}}) {epsilon = 1.000000e-05 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %2 = "graph.rms_norm"(%y, %v) {epsilon = 1.000000e-05 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // CHECK: "graph.group_norm"({{.*}}) {axis = 1 : i64, epsilon = 1.000000e-05 : f64, groups = 4 : i64} : (tensor<?x8x9x9xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8x9x9xf32>
  %3 = "graph.group_norm"(%x, %v, %v) {axis = 1 : i64, epsilon = 1.000000e-05 : f64, groups = 4 : i64} : (tensor<?x8x9x9xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8x9x9xf32>
  // CHECK: "graph.softmax"({{.*}}) {axis = 1 : i64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %4 = "graph.softmax"(%y) {axis = 1 : i64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @lookups
func.func @lookups(%x: tensor<?x4x5xf32>, %t: tensor<?x8xf32>, %i: tensor<2x?xi64>) {
  // CHECK: "graph.reduce"({{.*}}) {axes = array<i64: 0, 2>, keepdims = true, kind = "mean"} : (tensor<?x4x5xf32>) -> tensor<1x4x1xf32>
  %0 = "graph.reduce"(%x) {axes = array<i64: 0, 2>, keepdims = true, kind = "mean"} : (tensor<?x4x5xf32>) -> tensor<1x4x1xf32>
  // CHECK: "graph.random_bits"({{.*}}) {stream = 3 : i64} : (tensor<i64>, index) -> tensor<2x?xi64>
  %seed = arith.constant dense<1> : tensor<i64>
  %n = arith.constant 5 : index
  %2 = "graph.random_bits"(%seed, %n) {stream = 3 : i64} : (tensor<i64>, index) -> tensor<2x?xi64>
  // CHECK: "graph.roots_of_unity"() {imaginary = true, length = 8 : i64} : () -> tensor<5x8xf64>
  %3 = "graph.roots_of_unity"() {imaginary = true, length = 8 : i64} : () -> tensor<5x8xf64>
  // CHECK: "graph.embedding"({{.*}}) : (tensor<?x8xf32>, tensor<2x?xi64>) -> tensor<2x?x8xf32>
  %1 = "graph.embedding"(%t, %i) : (tensor<?x8xf32>, tensor<2x?xi64>) -> tensor<2x?x8xf32>
  return
}

// CHECK-LABEL: func.func @layouts
func.func @layouts(%x: tensor<?x6xf32>, %y: tensor<1x6xf32>, %n: index) {
  // CHECK: "graph.reshape"({{.*}}) : (tensor<?x6xf32>, index) -> tensor<?x2x3xf32>
  %0 = "graph.reshape"(%x, %n) : (tensor<?x6xf32>, index) -> tensor<?x2x3xf32>
  // CHECK: "graph.permute"({{.*}}) {permutation = array<i64: 1, 0>} : (tensor<?x6xf32>) -> tensor<6x?xf32>
  %1 = "graph.permute"(%x) {permutation = array<i64: 1, 0>} : (tensor<?x6xf32>) -> tensor<6x?xf32>
  // CHECK: "graph.broadcast"({{.*}}) : (tensor<1x6xf32>, index) -> tensor<?x6xf32>
  %2 = "graph.broadcast"(%y, %n) : (tensor<1x6xf32>, index) -> tensor<?x6xf32>
  // CHECK: "graph.slice"({{.*}}) {starts = array<i64: 1, 0>, steps = array<i64: 1, 2>, stops = array<i64: -1, 6>} : (tensor<?x6xf32>) -> tensor<?x3xf32>
  %3 = "graph.slice"(%x) {starts = array<i64: 1, 0>, steps = array<i64: 1, 2>, stops = array<i64: -1, 6>} : (tensor<?x6xf32>) -> tensor<?x3xf32>
  // CHECK: "graph.concat"({{.*}}) {axis = 0 : i64} : (tensor<?x6xf32>, tensor<1x6xf32>) -> tensor<?x6xf32>
  %4 = "graph.concat"(%x, %y) {axis = 0 : i64} : (tensor<?x6xf32>, tensor<1x6xf32>) -> tensor<?x6xf32>
  // CHECK: "graph.pad"({{.*}}) {high = array<i64: 1, 1>, low = array<i64: 0, 2>, value = 0.000000e+00 : f64} : (tensor<?x6xf32>) -> tensor<?x9xf32>
  %5 = "graph.pad"(%x) {high = array<i64: 1, 1>, low = array<i64: 0, 2>, value = 0.000000e+00 : f64} : (tensor<?x6xf32>) -> tensor<?x9xf32>
  // CHECK: "graph.border_pad"({{.*}}) {high = array<i64: 1, 1>, low = array<i64: 0, 2>, mode = "reflect"} : (tensor<?x6xf32>) -> tensor<?x9xf32>
  %b = "graph.border_pad"(%x) {high = array<i64: 1, 1>, low = array<i64: 0, 2>, mode = "reflect"} : (tensor<?x6xf32>) -> tensor<?x9xf32>
  // CHECK: "graph.pack"({{.*}}) {inner_dims = array<i64: 1>, inner_tiles = array<i64: 4>, outer_permutation = array<i64: 1, 0>} : (tensor<?x6xf32>) -> tensor<2x?x4xf32>
  %6 = "graph.pack"(%x) {inner_dims = array<i64: 1>, inner_tiles = array<i64: 4>, outer_permutation = array<i64: 1, 0>} : (tensor<?x6xf32>) -> tensor<2x?x4xf32>
  return
}

// CHECK-LABEL: func.func @indices
func.func @indices(%x: tensor<?x6xf32>, %i: tensor<?x1xi64>, %j: tensor<?x4xi32>, %s: tensor<?x6xf32>, %p: tensor<?x2xi64>, %w: tensor<?x2xf32>) {
  // CHECK: "graph.gather"(%arg0, %arg1) {axis = 0 : i64} : (tensor<?x6xf32>, tensor<?x1xi64>) -> tensor<?x6xf32>
  %0 = "graph.gather"(%x, %i) {axis = 0 : i64} : (tensor<?x6xf32>, tensor<?x1xi64>) -> tensor<?x6xf32>
  // CHECK: "graph.gather"(%arg0, %arg2) {axis = 1 : i64} : (tensor<?x6xf32>, tensor<?x4xi32>) -> tensor<?x4xf32>
  %1 = "graph.gather"(%x, %j) {axis = 1 : i64} : (tensor<?x6xf32>, tensor<?x4xi32>) -> tensor<?x4xf32>
  // CHECK: "graph.resample"(%arg0, %arg4, %arg5) {axis = 1 : i64} : (tensor<?x6xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x?xf32>
  %r = "graph.resample"(%x, %p, %w) {axis = 1 : i64} : (tensor<?x6xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x?xf32>
  // CHECK: "graph.scatter"(%arg0, %arg1, %arg3) {axis = 0 : i64, kind = "sum"} : (tensor<?x6xf32>, tensor<?x1xi64>, tensor<?x6xf32>) -> tensor<?x6xf32>
  %2 = "graph.scatter"(%x, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<?x6xf32>, tensor<?x1xi64>, tensor<?x6xf32>) -> tensor<?x6xf32>
  return
}

// CHECK-LABEL: func.func @encodings
func.func @encodings(%w: tensor<5x7xbf16>, %x: tensor<?x?xf32>, %n: index) {
  // CHECK: %[[E:.*]]:2 = "graph.encode"(%arg0) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<5x7xbf16>) -> (tensor<5x4xi8>, tensor<5x2xf32>)
  %0:2 = "graph.encode"(%w) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<5x7xbf16>) -> (tensor<5x4xi8>, tensor<5x2xf32>)
  // CHECK: "graph.decode"(%[[E]]#0, %[[E]]#1) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<5x4xi8>, tensor<5x2xf32>) -> tensor<5x7xbf16>
  %1 = "graph.decode"(%0#0, %0#1) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<5x4xi8>, tensor<5x2xf32>) -> tensor<5x7xbf16>
  // CHECK: %[[D:.*]]:2 = "graph.encode"(%arg1) {{.*}} : (tensor<?x?xf32>) -> (tensor<?x?xi8>, tensor<?x?xf32>)
  %2:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 0 : i64, group = 32 : i64}}} : (tensor<?x?xf32>) -> (tensor<?x?xi8>, tensor<?x?xf32>)
  // CHECK: "graph.decode"(%[[D]]#0, %[[D]]#1, %arg2) {{.*}} : (tensor<?x?xi8>, tensor<?x?xf32>, index) -> tensor<?x?xf32>
  %3 = "graph.decode"(%2#0, %2#1, %n) {encoding = {int4_groups = {axis = 0 : i64, group = 32 : i64}}, operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<?x?xi8>, tensor<?x?xf32>, index) -> tensor<?x?xf32>
  return
}

// CHECK-LABEL: func.func @encoded_matmul
func.func @encoded_matmul(%x: tensor<?x3x40xbf16>, %c: tensor<20x20xi8>, %s: tensor<20x3xbf16>, %z: tensor<20x3xbf16>) {
  // CHECK: "graph.encoded_matmul"(%arg0, %arg1, %arg2, %arg3) {{.*}} -> tensor<?x3x20xf32>
  %0 = "graph.encoded_matmul"(%x, %c, %s, %z) {encoding = {int4_groups = {axis = 1 : i64, group = 16 : i64, scale_bits = 16 : i64, zero_points = 1 : i64}}, transpose_rhs = true} : (tensor<?x3x40xbf16>, tensor<20x20xi8>, tensor<20x3xbf16>, tensor<20x3xbf16>) -> tensor<?x3x20xf32>
  return
}

// CHECK-LABEL: func.func @in_order
func.func @in_order(%x: tensor<?x6xf32>) {
  // CHECK: "graph.scan"(%arg0) {axis = 0 : i64, kind = "sum"} : (tensor<?x6xf32>) -> tensor<?x6xf32>
  %0 = "graph.scan"(%x) {axis = 0 : i64, kind = "sum"} : (tensor<?x6xf32>) -> tensor<?x6xf32>
  // CHECK: "graph.arg_scan"(%arg0) {axis = 1 : i64, kind = "min"} : (tensor<?x6xf32>) -> tensor<?x6xi64>
  %1 = "graph.arg_scan"(%x) {axis = 1 : i64, kind = "min"} : (tensor<?x6xf32>) -> tensor<?x6xi64>
  // CHECK: "graph.argsort"(%arg0) {axis = 0 : i64, descending = true} : (tensor<?x6xf32>) -> tensor<?x6xi64>
  %2 = "graph.argsort"(%x) {axis = 0 : i64, descending = true} : (tensor<?x6xf32>) -> tensor<?x6xi64>
  // CHECK: "graph.topk"(%arg0) {axis = 0 : i64, count = 3 : i64, descending = false} : (tensor<?x6xf32>) -> tensor<3x6xi64>
  %3 = "graph.topk"(%x) {axis = 0 : i64, count = 3 : i64, descending = false} : (tensor<?x6xf32>) -> tensor<3x6xi64>
  return
}
