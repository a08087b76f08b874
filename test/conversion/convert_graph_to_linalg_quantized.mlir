// RUN: terrace-opt %s --pass-pipeline='builtin.module(convert-graph-to-linalg)' | filecheck %s

// CHECK-LABEL: func.func @quantize
// CHECK: linalg.generic
// CHECK: %[[RATIO:.*]] = arith.divf
// CHECK: math.roundeven %[[RATIO]]
// CHECK: arith.select
// CHECK: arith.maximumf
// CHECK: arith.minimumf
// CHECK: arith.fptosi {{.*}} : f32 to i8
func.func @quantize(%x: tensor<?x4xf32>, %s: tensor<f32>) -> tensor<?x4xi8> {
  %0 = "graph.quantize"(%x, %s) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xi8>
  return %0 : tensor<?x4xi8>
}

// CHECK-LABEL: func.func @dequantize
// CHECK: %[[WIDE:.*]] = arith.sitofp {{.*}} : i8 to f32
// CHECK: arith.mulf %[[WIDE]]
func.func @dequantize(%x: tensor<?x4xi8>, %s: tensor<f32>) -> tensor<?x4xf32> {
  %0 = "graph.dequantize"(%x, %s) : (tensor<?x4xi8>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// The product is exact; half less one, plus the parity of what is kept, rounds ties to even.
// CHECK-LABEL: func.func @requantize
// CHECK: %[[P:.*]] = arith.muli {{.*}} : i64
// CHECK: arith.shli
// CHECK: arith.shrsi %[[P]], %[[S:.*]] : i64
// CHECK: %[[ODD:.*]] = arith.andi
// CHECK: %[[HALF:.*]] = arith.addi {{.*}}, %[[ODD]] : i64
// CHECK: %[[SUM:.*]] = arith.addi %[[P]], %[[HALF]] : i64
// CHECK: arith.shrsi %[[SUM]], %[[S]] : i64
// CHECK: arith.trunci {{.*}} : i64 to i8
func.func @requantize(%x: tensor<2x4xi32>, %m: tensor<4xi32>, %s: tensor<4xi32>) -> tensor<2x4xi8> {
  %0 = "graph.requantize"(%x, %m, %s) : (tensor<2x4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<2x4xi8>
  return %0 : tensor<2x4xi8>
}

// CHECK-LABEL: func.func @convolution
// CHECK: linalg.conv_2d_nhwc_hwcf {{.*}} : tensor<1x4x4x3xi8>, tensor<3x3x3x8xi8>) outs({{.*}} : tensor<1x2x2x8xi32>)
func.func @convolution(%x: tensor<1x4x4x3xi8>, %w: tensor<8x3x3x3xi8>) -> tensor<1x2x2x8xi32> {
  %0 = "graph.conv2d"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x4x4x3xi8>, tensor<8x3x3x3xi8>) -> tensor<1x2x2x8xi32>
  return %0 : tensor<1x2x2x8xi32>
}

// Two multiplications, one shift, all in 32 bits.
// CHECK-LABEL: func.func @scaled_add
// CHECK: arith.constant 3 : i32
// CHECK-NEXT: arith.muli
// CHECK-NEXT: arith.constant -5 : i32
// CHECK-NEXT: arith.muli
// CHECK-NOT: i64
// CHECK: arith.trunci {{.*}} : i32 to i8
func.func @scaled_add(%x: tensor<4xi8>) -> tensor<4xi8> {
  %0 = "graph.scaled_add"(%x, %x) {lhs_multiplier = 3 : i64, rhs_multiplier = -5 : i64, shift = 2 : i64} : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// CHECK-LABEL: func.func @sum_pool2d
// CHECK: linalg.pooling_nhwc_sum {{.*}} : tensor<1x4x4x3xi8>, tensor<2x2xi32>) outs({{.*}} : tensor<1x2x2x3xi32>)
func.func @sum_pool2d(%x: tensor<1x4x4x3xi8>) -> tensor<1x2x2x3xi32> {
  %0 = "graph.sum_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x4x4x3xi8>) -> tensor<1x2x2x3xi32>
  return %0 : tensor<1x2x2x3xi32>
}

// CHECK-LABEL: func.func @lookup
// CHECK: %[[I:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: tensor.extract %{{.*}}[%[[I]]] : tensor<256xi8>
func.func @lookup(%x: tensor<4xi8>) -> tensor<4xi8> {
  %0 = "graph.lookup"(%x) {table = dense<7> : tensor<256xi8>} : (tensor<4xi8>) -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// The largest, the sum of exponentials, its factor, the result.
// CHECK-LABEL: func.func @softmax
// CHECK: arith.maxsi
// CHECK: tensor.extract
// CHECK: arith.divsi {{.*}} : i64
// CHECK: tensor.extract
// CHECK: arith.trunci {{.*}} : i64 to i8
func.func @softmax(%x: tensor<?x4xi8>) -> tensor<?x4xi8> {
  %0 = "graph.integer_softmax"(%x) {axis = 1 : i64, table = dense<65536> : tensor<256xi32>} : (tensor<?x4xi8>) -> tensor<?x4xi8>
  return %0 : tensor<?x4xi8>
}

// CHECK-LABEL: func.func @layer_norm
// CHECK: arith.divsi {{.*}} : i64
// CHECK-COUNT-31: arith.select
// CHECK: arith.divsi {{.*}} : i64
func.func @layer_norm(%x: tensor<?x4xi8>) -> tensor<?x4xi32> {
  %0 = "graph.integer_layer_norm"(%x) {dims = 1 : i64, epsilon = 5 : i64} : (tensor<?x4xi8>) -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}
