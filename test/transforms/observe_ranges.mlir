// RUN: terrace-opt %s --observe-ranges -split-input-file -verify-diagnostics | filecheck %s

// The input, the end of the chain of a product, its bias and its ReLU, and the sum; not what leads to the end of a
// chain, nor what keeps its operand's scale.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%[[X:.*]]: tensor<2x8xf32>) -> (tensor<f32>, tensor<f32>, tensor<f32>)
// CHECK-DAG:     %[[RELU:.*]] = "graph.relu"
// CHECK-DAG:     %[[SUM:.*]] = "graph.add"({{.*}}) : (tensor<4x2xf32>, tensor<4x2xf32>)
// CHECK-DAG:     %[[AX:.*]] = "graph.abs"(%[[X]])
// CHECK-DAG:     %[[RX:.*]] = "graph.reduce"(%[[AX]]) {axes = array<i64: 0, 1>, keepdims = false, kind = "max"}
// CHECK-DAG:     %[[AR:.*]] = "graph.abs"(%[[RELU]])
// CHECK-DAG:     %[[RR:.*]] = "graph.reduce"(%[[AR]])
// CHECK-DAG:     %[[AS:.*]] = "graph.abs"(%[[SUM]])
// CHECK-DAG:     %[[RS:.*]] = "graph.reduce"(%[[AS]])
// CHECK:         return %[[RX]], %[[RR]], %[[RS]] : tensor<f32>, tensor<f32>, tensor<f32>
"graph.parameter"() {sym_name = "w", type = tensor<4x8xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<4xf32>} : () -> ()
func.func @main(%x: tensor<2x8xf32>) -> tensor<4x2xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x8xf32>
  %b = "graph.load"() {symbol = @b} : () -> tensor<4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  %1 = "graph.add"(%0, %b) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = "graph.relu"(%1) : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %3 = "graph.permute"(%2) {permutation = array<i64: 1, 0>} : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %4 = "graph.add"(%3, %3) : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  return %4 : tensor<4x2xf32>
}

// -----

// A product with two users is the end of its chain.
// CHECK-LABEL: func.func @main
// CHECK:         return {{.*}} : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
func.func @main(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x8xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %1 = "graph.add"(%0, %y) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// Memory that nobody has written may hold NaN; what no rule gives or reads needs no scale.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    -> tensor<f32>
// CHECK:         %[[FILLED:.*]] = linalg.fill
// CHECK:         "graph.abs"(%[[FILLED]])
func.func @main(%x: tensor<2xf32>) -> (tensor<4xf32>, tensor<2xf32>, tensor<4x1xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<4x1xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<4x1xf32>) -> tensor<4x1xf32>
  %2 = "graph.reshape"(%1) : (tensor<4x1xf32>) -> tensor<4xf32>
  %3 = "graph.log"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return %2, %3, %0 : tensor<4xf32>, tensor<2xf32>, tensor<4x1xf32>
}

// -----

// expected-error @below {{'func.func' op @main has no float32 value to observe}}
func.func @main(%x: tensor<2xi64>) -> tensor<2xi64> {
  return %x : tensor<2xi64>
}
