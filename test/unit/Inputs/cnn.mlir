// Two blocks of a residual network with all that choose-layout has to get through, then pooling and a classifier.
"graph.parameter"() {sym_name = "c1.weight", type = tensor<4x3x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "c2.weight", type = tensor<4x4x1x1xf32>} : () -> ()
"graph.parameter"() {sym_name = "dw.weight", type = tensor<8x1x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "up.weight", type = tensor<8x2x2x2xf32>} : () -> ()
"graph.parameter"() {sym_name = "fc.weight", type = tensor<5x2xf32>} : () -> ()
"graph.parameter"() {sym_name = "c1.bias", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "mean", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "var", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "gamma", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "beta", type = tensor<4xf32>} : () -> ()
func.func @cnn(%x: tensor<?x3x9x9xf32>) -> tensor<?x5xf32> {
  %w1 = "graph.load"() {symbol = @c1.weight} : () -> tensor<4x3x3x3xf32>
  %w2 = "graph.load"() {symbol = @c2.weight} : () -> tensor<4x4x1x1xf32>
  %w3 = "graph.load"() {symbol = @dw.weight} : () -> tensor<8x1x3x3xf32>
  %w4 = "graph.load"() {symbol = @up.weight} : () -> tensor<8x2x2x2xf32>
  %w5 = "graph.load"() {symbol = @fc.weight} : () -> tensor<5x2xf32>
  %b1 = "graph.load"() {symbol = @c1.bias} : () -> tensor<4xf32>
  %mean = "graph.load"() {symbol = @mean} : () -> tensor<4xf32>
  %var = "graph.load"() {symbol = @var} : () -> tensor<4xf32>
  %gamma = "graph.load"() {symbol = @gamma} : () -> tensor<4xf32>
  %beta = "graph.load"() {symbol = @beta} : () -> tensor<4xf32>
  %half = arith.constant dense<0.5> : tensor<f32>
  %one = arith.constant dense<1.0> : tensor<1xf32>
  %0 = "graph.conv2d"(%x, %w1) {strides = array<i64: 1, 2>, padding = array<i64: 1, 1, 1, 0>, groups = 1 : i64, dilations = array<i64: 1, 1>, layout = "NCHW"}
    : (tensor<?x3x9x9xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x9x4xf32>
  %bias = "graph.reshape"(%b1) : (tensor<4xf32>) -> tensor<4x1x1xf32>
  %1 = "graph.add"(%0, %bias) : (tensor<?x4x9x4xf32>, tensor<4x1x1xf32>) -> tensor<?x4x9x4xf32>
  %2 = "graph.batch_norm"(%1, %mean, %var, %gamma, %beta) {epsilon = 7.62939453125e-06 : f64, axis = 1 : i64}
    : (tensor<?x4x9x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x9x4xf32>
  %3 = "graph.relu"(%2) : (tensor<?x4x9x4xf32>) -> tensor<?x4x9x4xf32>
  %4 = "graph.conv2d"(%3, %w2) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 1 : i64, dilations = array<i64: 1, 1>, layout = "NCHW"}
    : (tensor<?x4x9x4xf32>, tensor<4x4x1x1xf32>) -> tensor<?x4x9x4xf32>
  %5 = "graph.sigmoid"(%4) : (tensor<?x4x9x4xf32>) -> tensor<?x4x9x4xf32>
  %6 = "graph.mul"(%4, %5) : (tensor<?x4x9x4xf32>, tensor<?x4x9x4xf32>) -> tensor<?x4x9x4xf32>
  %7 = "graph.add"(%6, %3) : (tensor<?x4x9x4xf32>, tensor<?x4x9x4xf32>) -> tensor<?x4x9x4xf32>
  %8 = "graph.batch_norm"(%7, %mean, %var, %gamma, %beta) {epsilon = 7.62939453125e-06 : f64, axis = 1 : i64}
    : (tensor<?x4x9x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x9x4xf32>
  %9 = "graph.concat"(%8, %3) {axis = 1 : i64}
    : (tensor<?x4x9x4xf32>, tensor<?x4x9x4xf32>) -> tensor<?x8x9x4xf32>
  %10 = "graph.pad"(%9) {low = array<i64: 0, 0, 1, 2>, high = array<i64: 0, 0, 1, 0>, value = 0.5 : f64}
    : (tensor<?x8x9x4xf32>) -> tensor<?x8x11x6xf32>
  %11 = "graph.conv2d"(%10, %w3) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 8 : i64, dilations = array<i64: 1, 1>, layout = "NCHW"}
    : (tensor<?x8x11x6xf32>, tensor<8x1x3x3xf32>) -> tensor<?x8x9x4xf32>
  %12 = "graph.max_pool2d"(%11) {kernel = array<i64: 3, 2>, strides = array<i64: 2, 2>, padding = array<i64: 1, 1, 0, 0>,
    ceil_mode = false, dilations = array<i64: 1, 1>, layout = "NCHW"} : (tensor<?x8x9x4xf32>) -> tensor<?x8x5x2xf32>
  %13 = "graph.slice"(%12) {starts = array<i64: 0, 0, 1, 0>, stops = array<i64: -1, 8, 5, -1>, steps = array<i64: 1, 1, 2, 1>}
    : (tensor<?x8x5x2xf32>) -> tensor<?x8x2x2xf32>
  %14 = "graph.conv_transpose2d"(%13, %w4) {strides = array<i64: 2, 2>, padding = array<i64: 0, 0>,
    output_padding = array<i64: 1, 0>, groups = 1 : i64, dilations = array<i64: 1, 1>, layout = "NCHW"}
    : (tensor<?x8x2x2xf32>, tensor<8x2x2x2xf32>) -> tensor<?x2x5x4xf32>
  %15 = "graph.mul"(%14, %half) : (tensor<?x2x5x4xf32>, tensor<f32>) -> tensor<?x2x5x4xf32>
  %16 = "graph.softmax"(%15) {axis = 1 : i64} : (tensor<?x2x5x4xf32>) -> tensor<?x2x5x4xf32>
  %17 = "graph.avg_pool2d"(%16) {kernel = array<i64: 2, 2>, strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    ceil_mode = false, count_include_pad = true, dilations = array<i64: 1, 1>, layout = "NCHW"} : (tensor<?x2x5x4xf32>) -> tensor<?x2x4x3xf32>
  %18 = "graph.mul"(%17, %one) : (tensor<?x2x4x3xf32>, tensor<1xf32>) -> tensor<?x2x4x3xf32>
  %19 = "graph.reduce"(%18) {kind = "mean", axes = array<i64: 2, 3>, keepdims = false}
    : (tensor<?x2x4x3xf32>) -> tensor<?x2xf32>
  %20 = "graph.matmul"(%19, %w5) {transpose_rhs = true} : (tensor<?x2xf32>, tensor<5x2xf32>) -> tensor<?x5xf32>
  return %20 : tensor<?x5xf32>
}
