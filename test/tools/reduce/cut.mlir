// RUN: cp %s %t.mlir
// RUN: %python -m terrace.tools.reduce %t.mlir -- terrace-opt %t.mlir --verify-level=level=loop | filecheck %s --check-prefix=SAID
// RUN: filecheck %s --check-prefix=CUT <%t.mlir
// RUN: not terrace-opt %t.mlir --verify-level=level=loop 2>&1 | filecheck %s --check-prefix=STILL
// RUN: not cat %t.trial.mlir
// RUN: cp %s %t.good.mlir
// RUN: not %python -m terrace.tools.reduce %t.good.mlir -- terrace-opt %t.good.mlir --cse 2>&1 | filecheck %s --check-prefix=GOOD
// RUN: not %python -m terrace.tools.reduce %t.mlir -- terrace-opt other.mlir 2>&1 | filecheck %s --check-prefix=USAGE
// RUN: not %python -m terrace.tools.reduce %t.mlir -- rm %t.mlir 2>&1 | filecheck %s --check-prefix=USAGE

// The op that fails stays, with arguments in the place of what it needs; so do comment lines.
// SAID: lines cut to
// CUT: {{^}}// CUT:
// CUT: module {
// CUT-NEXT: func.func @main(%arg0: tensor<4x4xf32>) -> tensor<4x4xf32> {
// CUT-NEXT: %0 = "graph.softmax"(%arg0)
// CUT-NEXT: return %0
// CUT-NEXT: }
// CUT-NEXT: }
// STILL: error: 'graph.softmax' op is not legal at the level 'loop'
// GOOD: terrace-reduce: error: the command does not fail with an error
// USAGE: the command must be one of terrace-opt, terrace-compile, with {{.*}} among its arguments
"graph.parameter"() {sym_name = "w", type = tensor<4x4xf32>} : () -> ()
func.func private @helper(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  return %x : tensor<4x4xf32>
}
func.func @main(%x: tensor<4x4xf32>) -> (tensor<4x4xf32>, index) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x4xf32>
  %0 = func.call @helper(%x) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = arith.addf %0, %w : tensor<4x4xf32>
  %2 = "graph.softmax"(%1) {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %3 = arith.mulf %2, %2 : tensor<4x4xf32>
  %c1 = arith.constant 1 : index
  return %3, %c1 : tensor<4x4xf32>, index
}
