// RUN: terrace-opt --split-input-file --verify-diagnostics %s
func.func @f(%a: tensor<2x3xf32>, %b: tensor<4x3xf32>) {
  // expected-error @+1 {{'graph.add' op cannot broadcast shapes 2x3 and 4x3}}
  %0 = "graph.add"(%a, %b) : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x3xi32>) {
  // expected-error @+1 {{'graph.add' op operands have different element types: f32 and i32}}
  %0 = "graph.add"(%a, %b) : (tensor<2x3xf32>, tensor<2x3xi32>) -> tensor<2x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.relu' op result has shape 3x2, expected 2x3}}
  %0 = "graph.relu"(%a) : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.relu' op result has element type f16, expected f32}}
  %0 = "graph.relu"(%a) : (tensor<2x3xf32>) -> tensor<2x3xf16>
  return
}


// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<2xf32>) {
  // expected-error @+1 {{'graph.compare' op unknown predicate 'almost'}}
  %0 = "graph.compare"(%a, %b) {predicate = "almost"} : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  return
}


// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<2xf32>) {
  // expected-error @+1 {{'graph.compare' op attribute "predicate" is expected but not provided}}
  %0 = "graph.compare"(%a, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  return
}


// -----

func.func @f(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<2xf32>) {
  // expected-error @+1 {{'graph.select' op condition must have element type i1, got f32}}
  %0 = "graph.select"(%a, %b, %c) : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) {
  // expected-error @+1 {{'graph.matmul' op contracted sizes differ: 3 and 4}}
  %0 = "graph.matmul"(%a, %b) {transpose_rhs = false} : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  return
}


// -----

func.func @f(%a: tensor<3xf32>, %b: tensor<3x5xf32>) {
  // expected-error @+1 {{'graph.matmul' op lhs must have rank 2 or more, got 3}}
  %0 = "graph.matmul"(%a, %b) {transpose_rhs = false} : (tensor<3xf32>, tensor<3x5xf32>) -> tensor<5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x3x5xf32>) {
  // expected-error @+1 {{'graph.matmul' op rhs must have rank 2, got 2x3x5}}
  %0 = "graph.matmul"(%a, %b) {transpose_rhs = false}
    : (tensor<2x3xf32>, tensor<2x3x5xf32>) -> tensor<2x5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<3x4x5xf32>) {
  // expected-error @+1 {{'graph.batch_matmul' op batch sizes differ: 2x3x4 and 3x4x5}}
  %0 = "graph.batch_matmul"(%a, %b) {transpose_rhs = false}
    : (tensor<2x3x4xf32>, tensor<3x4x5xf32>) -> tensor<2x3x5xf32>
  return
}


// -----

func.func @f(%a: tensor<4x5x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op input must have rank 4, got 4x5x5}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<4x5x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op attribute 'strides' must have 2 elements, got 1}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<2x4x5x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op strides and dilations must be positive}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 0, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<2x4x5x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<6x1x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op 4 groups do not divide 6 output channels}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 4 : i64, layout = "NCHW"}
    : (tensor<2x4x5x5xf32>, tensor<6x1x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op channels of the input and of all groups differ: 4 and 8}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 2 : i64, layout = "NCHW"}
    : (tensor<2x4x5x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op attribute 'layout' must be NCHW or NHWC, got CHWN}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "CHWN"}
    : (tensor<2x4x5x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x2x5xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv2d' op the window of 3 elements exceeds the padded size}}
  %0 = "graph.conv2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}
    : (tensor<2x4x2x5xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x3x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<3x4x3x3xf32>) {
  // expected-error @+1 {{'graph.conv_transpose2d' op input channels differ: 4 and 3}}
  %0 = "graph.conv_transpose2d"(%a, %b) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0>,
    dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW", output_padding = array<i64: 0, 0>}
    : (tensor<2x4x5x5xf32>, tensor<3x4x3x3xf32>) -> tensor<2x4x7x7xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<3x5x4xf32>, %c: tensor<3x5x6xf32>) {
  // expected-error @+1 {{'graph.attention' op batch sizes differ: 2x3x4, 3x5x4, 3x5x6}}
  %0 = "graph.attention"(%a, %b, %c) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x3x4xf32>, tensor<3x5x4xf32>, tensor<3x5x6xf32>) -> tensor<2x3x6xf32>
  return
}


// -----

func.func @f(%a: tensor<1x6x3x4xf32>, %b: tensor<1x4x5x4xf32>, %c: tensor<1x4x5x6xf32>) {
  // expected-error @+1 {{'graph.attention' op batch sizes differ: 1x6x3x4, 1x4x5x4, 1x4x5x6}}
  %0 = "graph.attention"(%a, %b, %c) {scale = 1.0 : f64, is_causal = false}
    : (tensor<1x6x3x4xf32>, tensor<1x4x5x4xf32>, tensor<1x4x5x6xf32>) -> tensor<1x6x3x6xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>, %m: tensor<1x2x3x3xf32>) {
  // expected-error @+1 {{'graph.attention' op a mask of 1x2x3x3 does not broadcast to scores 2x3x3}}
  %0 = "graph.attention"(%a, %a, %a, %m) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<1x2x3x3xf32>) -> tensor<2x3x4xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>) {
  // expected-error @+1 {{'graph.attention' op attribute 'inner_heads' must list numbers from 0 to 3, got [4]}}
  %0 = "graph.attention"(%a, %a, %a) {scale = 1.0 : f64, is_causal = false, inner_heads = array<i64: 4>}
    : (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>) {
  // expected-error @+1 {{'graph.attention' op batch sizes differ: 2x3x4, 2x3x4, 2x3x4}}
  %0 = "graph.attention"(%a, %a, %a) {scale = 1.0 : f64, is_causal = false, inner_heads = array<i64: 1>}
    : (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<2x5x7xf32>, %c: tensor<2x5x6xf32>) {
  // expected-error @+1 {{'graph.attention' op widths of query and key differ: 4 and 7}}
  %0 = "graph.attention"(%a, %b, %c) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x3x4xf32>, tensor<2x5x7xf32>, tensor<2x5x6xf32>) -> tensor<2x3x6xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3x4xf32>, %b: tensor<2x5x4xf32>, %c: tensor<2x7x6xf32>) {
  // expected-error @+1 {{'graph.attention' op lengths of key and value differ: 5 and 7}}
  %0 = "graph.attention"(%a, %b, %c) {scale = 1.0 : f64, is_causal = false}
    : (tensor<2x3x4xf32>, tensor<2x5x4xf32>, tensor<2x7x6xf32>) -> tensor<2x3x6xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>) {
  // expected-error @+1 {{'graph.max_pool2d' op attribute 'kernel' must have 2 elements, got 1}}
  %0 = "graph.max_pool2d"(%a) {kernel = array<i64: 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW"}
    : (tensor<2x4x5x5xf32>) -> tensor<2x4x2x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>) {
  // expected-error @+1 {{'graph.avg_pool2d' op the window of 7 elements exceeds the padded size}}
  %0 = "graph.avg_pool2d"(%a) {kernel = array<i64: 7, 2>, strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>,
    dilations = array<i64: 1, 1>, ceil_mode = false, layout = "NCHW", count_include_pad = true}
    : (tensor<2x4x5x5xf32>) -> tensor<2x4x2x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<4xf32>) {
  // expected-error @+1 {{'graph.batch_norm' op axis 4 is out of range for rank 4}}
  %0 = "graph.batch_norm"(%a, %b, %c, %d, %e) {epsilon = 1.0e-5 : f64, axis = 4 : i64}
    : (tensor<2x4x5x5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x5x5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<5xf32>) {
  // expected-error @+1 {{'graph.batch_norm' op channels differ: 5 and 4}}
  %0 = "graph.batch_norm"(%a, %b, %c, %d, %e) {epsilon = 1.0e-5 : f64, axis = 1 : i64}
    : (tensor<2x4x5x5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<5xf32>) -> tensor<2x4x5x5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<2x2xf32>) {
  // expected-error @+1 {{'graph.batch_norm' op a statistic must have rank 1, got 2x2}}
  %0 = "graph.batch_norm"(%a, %b, %c, %d, %e) {epsilon = 1.0e-5 : f64, axis = 1 : i64}
    : (tensor<2x4x5x5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>) -> tensor<2x4x5x5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x8xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>) {
  // expected-error @+1 {{'graph.layer_norm' op scale 4 does not end 2x8}}
  %0 = "graph.layer_norm"(%a, %b, %c) {epsilon = 1.0e-5 : f64}
    : (tensor<2x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x8xf32>
  return
}


// -----

func.func @f(%a: tensor<2x8xf32>, %b: tensor<2xf32>) {
  // expected-error @+1 {{'graph.rms_norm' op scale 2 does not end 2x8}}
  %0 = "graph.rms_norm"(%a, %b) {epsilon = 1.0e-5 : f64} : (tensor<2x8xf32>, tensor<2xf32>) -> tensor<2x8xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4x5x5xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>) {
  // expected-error @+1 {{'graph.group_norm' op 3 groups do not divide the channels of 2x4x5x5}}
  %0 = "graph.group_norm"(%a, %b, %c) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 3 : i64}
    : (tensor<2x4x5x5xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x5x5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x4xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{'graph.group_norm' op 0 groups do not divide the channels of 2x4}}
  %0 = "graph.group_norm"(%a, %b, %b) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 0 : i64}
    : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4xf32>, %b: tensor<2xf32>) {
  // expected-error @+1 {{'graph.group_norm' op axis 0 of the channels is out of range for 2x4}}
  %0 = "graph.group_norm"(%a, %b, %b) {axis = 0 : i64, epsilon = 1.0e-5 : f64, groups = 2 : i64}
    : (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.softmax' op axis 2 is out of range for rank 2}}
  %0 = "graph.softmax"(%a) {axis = 2 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.reduce' op unknown kind 'median', expected one of sum, mean, max, min, prod}}
  %0 = "graph.reduce"(%a) {kind = "median", axes = array<i64: 0>, keepdims = false}
    : (tensor<2x3xf32>) -> tensor<3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.reduce' op attribute 'axes' must be ascending}}
  %0 = "graph.reduce"(%a) {kind = "sum", axes = array<i64: 1, 0>, keepdims = false}
    : (tensor<2x3xf32>) -> tensor<f32>
  return
}


// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<2x5xi64>) {
  // expected-error @+1 {{'graph.gather' op off the axis, 2x5 exceeds 4x3}}
  %0 = "graph.gather"(%a, %i) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2x5xi64>) -> tensor<2x5xf32>
  return
}

// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<2xi64>) {
  // expected-error @+1 {{'graph.gather' op indices must have rank 2, got 2}}
  %0 = "graph.gather"(%a, %i) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<2x1xi8>) {
  // expected-error @+1 {{'graph.gather' op indices must be i32 or i64, got i8}}
  %0 = "graph.gather"(%a, %i) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2x1xi8>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<2x1xi64>, %s: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.scatter' op unknown kind 'mean', expected one of replace, sum, prod, max, min}}
  %0 = "graph.scatter"(%a, %i, %s) {axis = 0 : i64, kind = "mean"} : (tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<3x1xi64>, %s: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.scatter' op of the source, 3x3 exceeds 2x3}}
  %0 = "graph.scatter"(%a, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<4x3xf32>, tensor<3x1xi64>, tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<4x3xf32>, %i: tensor<2x1xi64>, %s: tensor<2x5xf32>) {
  // expected-error @+1 {{'graph.scatter' op off the axis, 2x5 exceeds 4x3}}
  %0 = "graph.scatter"(%a, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x5xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3x4x5xf32>, %b: tensor<2xi64>) {
  // expected-error @+1 {{'graph.embedding' op table must have rank 2, or 3 for blocks of rows, got 2x3x4x5}}
  %0 = "graph.embedding"(%a, %b) : (tensor<2x3x4x5xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.reshape' op element counts differ: 6 and 8}}
  %0 = "graph.reshape"(%a) : (tensor<2x3xf32>) -> tensor<4x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.reshape' op numbers of sizes and of '?' differ: 0 and 1}}
  %0 = "graph.reshape"(%a) : (tensor<2x3xf32>) -> tensor<?x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.reshape' op cannot change the element type}}
  %0 = "graph.reshape"(%a) : (tensor<2x3xf32>) -> tensor<6xi32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.permute' op [0, 0] is not a permutation of rank 2}}
  %0 = "graph.permute"(%a) {permutation = array<i64: 0, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.broadcast' op cannot broadcast shapes 2x3 and 4x3}}
  %0 = "graph.broadcast"(%a) : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}


// -----

func.func @f(%a: tensor<4x3xf32>) {
  // expected-error @+1 {{'graph.broadcast' op cannot broadcast 4x3 to 1x3}}
  %0 = "graph.broadcast"(%a) : (tensor<4x3xf32>) -> tensor<1x3xf32>
  return
}


// -----

func.func @f(%a: tensor<?xf32>) {
  // expected-error @+1 {{'graph.slice' op cannot stop a slice inside a dynamic dimension}}
  %0 = "graph.slice"(%a) {starts = array<i64: 0>, stops = array<i64: 1>, steps = array<i64: 1>}
    : (tensor<?xf32>) -> tensor<1xf32>
  return
}


// -----

func.func @f(%a: tensor<8xf32>) {
  // expected-error @+1 {{'graph.slice' op slice 3:9:1 is out of range for size 8}}
  %0 = "graph.slice"(%a) {starts = array<i64: 3>, stops = array<i64: 9>, steps = array<i64: 1>}
    : (tensor<8xf32>) -> tensor<5xf32>
  return
}


// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x4xf32>) {
  // expected-error @+1 {{'graph.concat' op shapes 2x3 and 2x4 differ off the axis}}
  %0 = "graph.concat"(%a, %b) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  return
}


// -----

func.func @f(%a: tensor<3xf32>) {
  // expected-error @+1 {{'graph.pad' op padding must not be negative}}
  %0 = "graph.pad"(%a) {low = array<i64: -1>, high = array<i64: 0>, value = 0.0 : f64}
    : (tensor<3xf32>) -> tensor<2xf32>
  return
}


// -----

func.func @f(%a: tensor<4x3xf32>) {
  // expected-error @+1 {{'graph.pack' op [1, 1] is not a permutation of rank 2}}
  %0 = "graph.pack"(%a) {outer_permutation = array<i64: 1, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 2>}
    : (tensor<4x3xf32>) -> tensor<2x3x2xf32>
  return
}


// -----

func.func @f(%a: tensor<4x3xf32>) {
  // expected-error @+1 {{'graph.pack' op inner tiles must be positive}}
  %0 = "graph.pack"(%a) {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 0>}
    : (tensor<4x3xf32>) -> tensor<2x3x2xf32>
  return
}


// -----

func.func @f(%a: tensor<4x3xf32>) {
  // expected-error @+1 {{'graph.pack' op [0, 0] names a dimension twice}}
  %0 = "graph.pack"(%a) {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 0>, inner_tiles = array<i64: 2, 2>}
    : (tensor<4x3xf32>) -> tensor<1x3x2x2xf32>
  return
}

// -----

func.func @f(%seed: tensor<i64>) {
  // expected-error @+1 {{'graph.random_bits' op numbers of sizes and of '?' differ: 0 and 1}}
  %0 = "graph.random_bits"(%seed) {stream = 0 : i64} : (tensor<i64>) -> tensor<?xi64>
  return
}

// -----

func.func @f(%seed: tensor<2xi64>) {
  // expected-error @+1 {{'graph.random_bits' op seed must have rank 0, got 2}}
  %0 = "graph.random_bits"(%seed) {stream = 0 : i64} : (tensor<2xi64>) -> tensor<4xi64>
  return
}

// -----

func.func @f(%seed: tensor<i64>) {
  // expected-error @+1 {{'graph.random_bits' op seed and result must have element type i64, got i32}}
  %0 = "graph.random_bits"(%seed) {stream = 0 : i64} : (tensor<i64>) -> tensor<4xi32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'graph.roots_of_unity' op result must be a matrix of static shape, got tensor<4xf32>}}
  %0 = "graph.roots_of_unity"() {imaginary = false, length = 4 : i64} : () -> tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'graph.roots_of_unity' op result must be a matrix of static shape, got tensor<?x4xf32>}}
  %0 = "graph.roots_of_unity"() {imaginary = false, length = 4 : i64} : () -> tensor<?x4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'graph.roots_of_unity' op result must have element type f32 or f64, got f16}}
  %0 = "graph.roots_of_unity"() {imaginary = false, length = 4 : i64} : () -> tensor<4x4xf16>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'graph.roots_of_unity' op attribute 'length' must be at least 1}}
  %0 = "graph.roots_of_unity"() {imaginary = false, length = 0 : i64} : () -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op attribute 'encoding' must be {kind = {...}} of a kind in int4_groups}}
  %0:2 = "graph.encode"(%x) {encoding = {mx = {axis = 1 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op encoding int4_groups must have the fields axis, group}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op 'group' of the encoding must be an integer, got 4.0}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 4.0 : f64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op axis 2 is out of range for rank 2}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 2 : i64, group = 4 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op group must be at least 1, got 0}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 0 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op int4_groups stores 2 tensors, got 1}}
  %0 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<4x4xf32>) -> tensor<4x2xi8>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op storage tensor 0 is tensor<4x4xi8>, expected tensor<4x2xi8>}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x4xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op storage tensor 1 is tensor<4x1xbf16>, expected tensor<4x1xf32>}}
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x2xi8>, tensor<4x1xbf16>)
  return
}

// -----

func.func @f(%i: tensor<4x4xi32>) {
  // expected-error @+1 {{'graph.encode' op input must have an element type that is computed in f32, got i32}}
  %0:2 = "graph.encode"(%i) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<4x4xi32>) -> (tensor<4x2xi8>, tensor<4x1xf32>)
  return
}

// -----

// Two bytes hold three codes or four; not five.
func.func @f(%c: tensor<2xi8>, %s: tensor<1xf32>) {
  // expected-error @+1 {{'graph.decode' op storage tensor 0 is tensor<2xi8>, expected tensor<3xi8>}}
  %0 = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 0 : i64, group = 8 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<2xi8>, tensor<1xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%c: tensor<2xi8>, %s: tensor<1xf32>) {
  // expected-error @+1 {{'graph.decode' op needs 1 sizes after the storage, got 0}}
  %0 = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 0 : i64, group = 8 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<2xi8>, tensor<1xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%c: tensor<2xi8>, %s: tensor<1xf32>) {
  // expected-error @+1 {{'graph.decode' op result must have an element type that is computed in f32, got f64}}
  %0 = "graph.decode"(%c, %s) {encoding = {int4_groups = {axis = 0 : i64, group = 8 : i64}}, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<2xi8>, tensor<1xf32>) -> tensor<4xf64>
  return
}

// -----

func.func @f(%a: tensor<4xf32>, %b: tensor<3xf32>) {
  // expected-error @+1 {{'graph.fusion' op yields tensor<3xf32>, where tensor<4xf32> is declared}}
  %0 = "graph.fusion"() ({
    "graph.yield"(%b) : (tensor<3xf32>) -> ()
  }) : () -> tensor<4xf32>
  return
}

// -----

func.func @f(%a: tensor<4xf32>) {
  // expected-error @+1 {{'graph.fusion' op yields tensor<4xf32>, where tensor<4xf32>, tensor<4xf32> is declared}}
  %0:2 = "graph.fusion"() ({
    "graph.yield"(%a) : (tensor<4xf32>) -> ()
  }) : () -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{gives a tuple, which builtin.unrealized_conversion_cast must make and take apart}}
  %0 = "graph.fusion"() ({
    %1 = builtin.unrealized_conversion_cast %a, %a : tensor<4xf32>, tensor<4xf32> to tuple<tensor<4xf32>, tensor<4xf32>>
    "graph.yield"(%1) : (tuple<tensor<4xf32>, tensor<4xf32>>) -> ()
  }) : () -> tuple<tensor<4xf32>, tensor<4xf32>>
  %2 = builtin.unrealized_conversion_cast %0 : tuple<tensor<4xf32>, tensor<4xf32>> to tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

func.func @f(%a: tensor<4xf32>, %t: tuple<tensor<4xf32>, tensor<4xi32>>) -> tensor<4xf32> {
  // expected-error @+1 {{gives a tuple, which builtin.unrealized_conversion_cast must make and take apart}}
  %0 = "graph.fusion"() ({
    "graph.yield"(%t) : (tuple<tensor<4xf32>, tensor<4xi32>>) -> ()
  }) : () -> tuple<tensor<4xf32>, tensor<4xi32>>
  %1:2 = builtin.unrealized_conversion_cast %0 : tuple<tensor<4xf32>, tensor<4xi32>> to tensor<4xf32>, tensor<4xi32>
  return %1#0 : tensor<4xf32>
}

// -----

func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{gives a tuple beside other results}}
  %0:2 = "graph.fusion"() ({
    %1 = builtin.unrealized_conversion_cast %a, %a : tensor<4xf32>, tensor<4xf32> to tuple<tensor<4xf32>, tensor<4xf32>>
    "graph.yield"(%1, %1) : (tuple<tensor<4xf32>, tensor<4xf32>>, tuple<tensor<4xf32>, tensor<4xf32>>) -> ()
  }) : () -> (tuple<tensor<4xf32>, tensor<4xf32>>, tuple<tensor<4xf32>, tensor<4xf32>>)
  return %a : tensor<4xf32>
}

// -----

"graph.parameter"() {sym_name = "w", type = tensor<4xf32>} : () -> ()
// expected-error @+1 {{'graph.constant' op yields tensor<4xf32>, where tensor<3xf32> is declared}}
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @w} : () -> tensor<4xf32>
  "graph.yield"(%0) : (tensor<4xf32>) -> ()
}) {sym_name = "c", type = tensor<3xf32>} : () -> ()

// -----

// expected-error @+1 {{'graph.part' op must have a static tensor type, got tensor<?xf32>}}
"graph.part"() {sym_name = "p", type = tensor<?xf32>, constant = @c, number = 0 : i64} : () -> ()

// -----

func.func @f(%x: tensor<2x40xf32>, %c: tensor<20x20xi8>, %s: tensor<2x20xf32>) {
  // expected-error @+1 {{'graph.encoded_matmul' op must be encoded along dimension 1 of rhs, which k is}}
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 0 : i64, group = 16 : i64}}, transpose_rhs = true} : (tensor<2x40xf32>, tensor<20x20xi8>, tensor<2x20xf32>) -> tensor<2x20xf32>
  return
}

// -----

func.func @f(%x: tensor<2x40xf32>, %c: tensor<20x40xi8>, %s: tensor<20x2xf32>) {
  // expected-error @+1 {{'graph.encoded_matmul' op storage tensor 1 is tensor<20x2xf32>, expected tensor<20x3xf32>}}
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int8_groups = {axis = 1 : i64, group = 16 : i64}}, transpose_rhs = true} : (tensor<2x40xf32>, tensor<20x40xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return
}

// -----

func.func @f(%x: tensor<40xf32>, %c: tensor<20x40xi8>, %s: tensor<20x1xf32>) {
  // expected-error @+1 {{'graph.encoded_matmul' op lhs must have rank 2 or more, got 40}}
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int8_groups = {axis = 1 : i64, group = 40 : i64}}, transpose_rhs = true} : (tensor<40xf32>, tensor<20x40xi8>, tensor<20x1xf32>) -> tensor<20xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op scale_bits must be 16 or 32, got 8}}
  %0:2 = "graph.encode"(%x) {encoding = {int8_groups = {axis = 1 : i64, group = 4 : i64, scale_bits = 8 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x4xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{'graph.encode' op zero_points must be 0 or 1, got 2}}
  %0:2 = "graph.encode"(%x) {encoding = {int8_groups = {axis = 1 : i64, group = 4 : i64, zero_points = 2 : i64}}} : (tensor<4x4xf32>) -> (tensor<4x4xi8>, tensor<4x1xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x?xf32>) {
  // expected-error @+1 {{'graph.scan' op unknown kind 'mean', expected one of sum, prod, max, min}}
  %0 = "graph.scan"(%x) {axis = 1 : i64, kind = "mean"} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  return
}

// -----

func.func @resample_axis(%a: tensor<4x3xf32>, %i: tensor<2x2xi64>, %w: tensor<2x2xf32>) {
  // expected-error @+1 {{'graph.resample' op axis 2 is out of range for rank 2}}
  %0 = "graph.resample"(%a, %i, %w) {axis = 2 : i64} : (tensor<4x3xf32>, tensor<2x2xi64>, tensor<2x2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x?xf32>) {
  // expected-error @+1 {{'graph.topk' op attribute 'count' must be from 1 to the axis' size, 4, got 5}}
  %0 = "graph.topk"(%x) {axis = 0 : i64, count = 5 : i64, descending = true} : (tensor<4x?xf32>) -> tensor<5x?xi64>
  return
}

// -----

func.func @resample_rank(%a: tensor<4x3xf32>, %i: tensor<2xi64>, %w: tensor<2x2xf32>) {
  // expected-error @+1 {{'graph.resample' op indices must have rank 2, got 2}}
  %0 = "graph.resample"(%a, %i, %w) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2xi64>, tensor<2x2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @resample_terms(%a: tensor<4x3xf32>, %i: tensor<2x2xi64>, %w: tensor<2x3xf32>) {
  // expected-error @+1 {{'graph.resample' op numbers of terms of indices and weights}}
  %0 = "graph.resample"(%a, %i, %w) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2x2xi64>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @resample_no_terms(%a: tensor<4x3xf32>, %i: tensor<2x0xi64>, %w: tensor<2x0xf32>) {
  // expected-error @+1 {{'graph.resample' op needs at least one term of each element}}
  %0 = "graph.resample"(%a, %i, %w) {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2x0xi64>, tensor<2x0xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @resample_types(%a: tensor<4x3xf16>, %i: tensor<2x2xi64>, %w: tensor<2x2xf16>) {
  // expected-error @+1 {{'graph.resample' op cannot weigh elements of f16 by f16}}
  %0 = "graph.resample"(%a, %i, %w) {axis = 0 : i64} : (tensor<4x3xf16>, tensor<2x2xi64>, tensor<2x2xf16>) -> tensor<2x3xf16>
  return
}

// -----

func.func @border_pad_mode(%a: tensor<3xf32>) {
  // expected-error @+1 {{'graph.border_pad' op unknown mode 'edge', expected one of reflect, replicate, circular}}
  %0 = "graph.border_pad"(%a) {low = array<i64: 1>, high = array<i64: 0>, mode = "edge"} : (tensor<3xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @border_pad_too_far(%a: tensor<3xf32>) {
  // expected-error @+1 {{'graph.border_pad' op a border of 3 takes more elements than dimension 0 of 3 has}}
  %0 = "graph.border_pad"(%a) {low = array<i64: 3>, high = array<i64: 0>, mode = "reflect"} : (tensor<3xf32>) -> tensor<6xf32>
  return
}
