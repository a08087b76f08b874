// RUN: terrace-opt --hoist-constants --split-input-file %s | filecheck %s

// One symbol per maximal expression; equal ones share it, and it stands before the function.
// CHECK:         "graph.constant"() ({
// CHECK-NEXT:      %[[W:.*]] = "graph.load"() {symbol = @fc.weight}
// CHECK-NEXT:      %[[EXP:.*]] = "graph.exp"(%[[W]])
// CHECK-NEXT:      %[[T:.*]] = "graph.permute"(%[[EXP]])
// CHECK-NEXT:      "graph.yield"(%[[T]])
// CHECK-NEXT:    }) {sym_name = "fc.weight.permute", type = tensor<3x2xf32>}
// CHECK-NOT:     graph.constant
// CHECK-LABEL: func.func @shared
// CHECK-NOT:     @fc.weight}
// CHECK-COUNT-2: "graph.load"() {symbol = @fc.weight.permute} : () -> tensor<3x2xf32>
// CHECK-NOT:     graph.exp
"graph.parameter"() {sym_name = "fc.weight", type = tensor<2x3xf32>} : () -> ()
func.func @shared(%x: tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  %w = "graph.load"() {symbol = @fc.weight} : () -> tensor<2x3xf32>
  %0 = "graph.exp"(%w) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = "graph.permute"(%0) {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %2 = "graph.matmul"(%x, %1) {transpose_rhs = false} : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  %3 = "graph.permute"(%0) {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %4 = "graph.matmul"(%x, %3) {transpose_rhs = false} : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  return %2, %4 : tensor<?x2xf32>, tensor<?x2xf32>
}

// -----

// Names stay unique; an expression that is used on the way to another one is loaded by it.
// CHECK:         "graph.parameter"() {sym_name = "w.exp"
// CHECK:         "graph.constant"() ({
// CHECK:           graph.exp
// CHECK:         }) {sym_name = "w.exp_1", type = tensor<2xf32>}
// CHECK:         "graph.constant"() ({
// CHECK-NEXT:      %[[INNER:.*]] = "graph.load"() {symbol = @w.exp_1}
// CHECK-NEXT:      "graph.neg"(%[[INNER]])
// CHECK:         }) {sym_name = "w.exp_1.neg", type = tensor<2xf32>}
// CHECK-LABEL: func.func @nested
"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
"graph.parameter"() {sym_name = "w.exp", type = tensor<2xf32>} : () -> ()
func.func @nested() -> (tensor<2xf32>, tensor<2xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<2xf32>
  %0 = "graph.exp"(%w) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// -----

// Left in place: loads alone, expressions without a parameter, ops that the evaluator does not know, state.
// CHECK-NOT:     graph.constant
// CHECK-LABEL: func.func @stays
// CHECK:         "graph.load"() {symbol = @w}
// CHECK:         graph.random_bits
// CHECK:         graph.neg
// CHECK:         graph.load_state
// CHECK-NEXT:    graph.exp
"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
"graph.state"() {sym_name = "s", type = tensor<2xf32>, initial = @w} : () -> ()
"graph.parameter"() {sym_name = "seed", type = tensor<i64>} : () -> ()
func.func @stays() -> (tensor<2xf32>, tensor<2xi64>, tensor<2xf32>, tensor<2xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<2xf32>
  %seed = "graph.load"() {symbol = @seed} : () -> tensor<i64>
  %0 = "graph.random_bits"(%seed) {stream = 0 : i64} : (tensor<i64>) -> tensor<2xi64>
  %c = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %1 = "graph.neg"(%c) : (tensor<2xf32>) -> tensor<2xf32>
  %s = "graph.load_state"() {symbol = @s} : () -> tensor<2xf32>
  %2 = "graph.exp"(%s) : (tensor<2xf32>) -> tensor<2xf32>
  return %w, %0, %1, %2 : tensor<2xf32>, tensor<2xi64>, tensor<2xf32>, tensor<2xf32>
}
