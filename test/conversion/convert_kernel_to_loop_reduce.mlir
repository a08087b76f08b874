// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='convert-graph-to-kernel{generators=reduce}' --split-input-file %S/Inputs/reductions.mlir | filecheck %s --check-prefix=KERNEL

// The last dimension stays: tiles of it are added, pixel after pixel.
// CHECK-LABEL: func.func private @mean
// CHECK:         %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<1x1x4xf32>
// CHECK:         scf.for %[[N:.*]] = %c0 to %c2
// CHECK:           scf.for %[[C:.*]] = %c0 to %c8 step %c4
// CHECK:             %[[SUM:.*]] = scf.for %[[P:.*]] = %c0 to %c49 step %c1 iter_args(%[[T:.*]] = %[[ZERO]])
// CHECK:               "loop.load_tile"(%{{.*}}, %[[N]], %[[P]], %[[C]])
// CHECK:               arith.addf %[[T]]
// CHECK:             arith.mulf %[[SUM]]
// CHECK:             "loop.store_tile"
func.func private @mean(%x: tensor<2x49x8xf32>) -> tensor<2x1x8xf32> {
  "kernel.schedule"() {generator = "reduce", iteration_space = {kinds = ["parallel", "reduction", "parallel"], names = ["d0", "d1", "d2"], sizes = array<i64: 2, 49, 8>}, schedule = {cuts = [
      {memory = "register", order = ["d2"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.reduce"(%x) {axes = array<i64: 1>, keepdims = true, kind = "mean"} : (tensor<2x49x8xf32>) -> tensor<2x1x8xf32>
  return %0 : tensor<2x1x8xf32>
}

// -----

// The last dimension goes: the tile meets at the end, and what is left of a row is added.
// CHECK-LABEL: func.func private @smallest
// CHECK:         arith.negf
// CHECK:         %[[FULL:.*]] = "loop.reduce_tile"(%{{.*}}) {kind = "max", {{.*}}} : (vector<1x4xf32>) -> vector<1x1xf32>
// CHECK:         %[[REST:.*]] = "loop.reduce_tile"(%{{.*}}) {kind = "max", {{.*}}} : (vector<1x2xf32>) -> vector<1x1xf32>
// CHECK:         arith.maximumf
// CHECK:         arith.negf
func.func private @smallest(%x: tensor<3x10xf32>) -> tensor<3x1xf32> {
  "kernel.schedule"() {generator = "reduce", iteration_space = {kinds = ["parallel", "reduction"], names = ["d0", "d1"], sizes = array<i64: 3, 10>}, schedule = {cuts = [
      {memory = "register", order = ["d1"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.reduce"(%x) {axes = array<i64: 1>, keepdims = true, kind = "min"} : (tensor<3x10xf32>) -> tensor<3x1xf32>
  return %0 : tensor<3x1xf32>
}

// Neighbouring dimensions that are reduced, or stay, are one; a result without the reduced ones is a view.
// KERNEL-LABEL: func.func private @reduce_6x1x5(%arg0: tensor<6x28x5xf32>) -> tensor<6x1x5xf32>
// KERNEL:         kinds = ["parallel", "reduction", "parallel"], names = ["d0", "d1", "d2"], sizes = array<i64: 6, 28, 5>
// KERNEL:       func.func @main
// KERNEL:         %[[IN:.*]] = "graph.reshape"(%arg0) : (tensor<2x3x4x7x5xf32>) -> tensor<6x28x5xf32>
// KERNEL:         %[[OUT:.*]] = call @reduce_6x1x5(%[[IN]])
// KERNEL:         "graph.reshape"(%[[OUT]]) : (tensor<6x1x5xf32>) -> tensor<2x3x5xf32>

// Integers are left to others.
// KERNEL:         "graph.reduce"(%{{.*}}) {{.*}}why = "element type i32 of graph.reduce"
