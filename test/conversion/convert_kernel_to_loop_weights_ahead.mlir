// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s
// RUN: sed -e 's/tensor<16x24xf32>/tensor<8x24xf32>/g' -e 's/tensor<16x64xf32>/tensor<8x64xf32>/g' -e 's/sizes = array<i64: 16, 64, 24>/sizes = array<i64: 8, 64, 24>/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=ONE
// RUN: sed -e 's/sizes = array<i64: 32, 8, 1>/sizes = array<i64: 32, 4, 1>/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=LOW
// RUN: sed -e 's/sizes = array<i64: 32, 8, 1>/sizes = array<i64: 16, 8, 1>/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=LOW

// Two tiles of 8 rows go over a panel of 24 steps of 2 lines of 16 floats: each asks for a line of the next panel, the
// second one's from line 24 on, at each step. The last panel asks for its own, which are there.
// CHECK-LABEL: func.func private @two
// CHECK:         scf.for %[[J:.*]] = %c0 to %c64 step %c32
// CHECK:           scf.for %[[I:.*]] = %c0 to %c16 step %c8
// CHECK-DAG:         %[[TILE:.*]] = arith.divui %[[I]], %c8
// CHECK-DAG:         %[[PANEL:.*]] = arith.divui %[[J]], %c32
// CHECK:             scf.for %[[K:.*]] = %c0 to %c24 step %c1
// CHECK:               %[[NEXT:.*]] = arith.addi %[[PANEL]], %c1
// CHECK:               %[[LAST:.*]] = arith.minui %[[NEXT]], %c1
// CHECK:               %[[BASE:.*]] = arith.muli %[[LAST]], %c48
// CHECK:               %[[MOD:.*]] = arith.remui %[[TILE]], %c2
// CHECK:               %[[STEPS:.*]] = arith.muli %[[MOD]], %c24
// CHECK:               %[[LINE:.*]] = arith.addi %[[STEPS]], %[[K]]
// CHECK:               %[[WITHIN:.*]] = arith.minui %[[LINE]], %c47
// CHECK:               %[[AT:.*]] = arith.addi %[[BASE]], %[[WITHIN]]
// CHECK:               %[[ELEMENT:.*]] = arith.muli %[[AT]], %c16
// CHECK:               memref.prefetch %{{.*}}[%c0, %c0, %[[ELEMENT]]], read, locality<2>, data : memref<2x24x32xf32>
// CHECK-NOT:           memref.prefetch
// CHECK:               "loop.contract_tile"

// One tile has all rows: it asks for both lines of a step further on.
// ONE-LABEL: func.func private @two
// ONE:         scf.for %[[J:.*]] = %c0 to %c64 step %c32
// ONE:           %[[PANEL:.*]] = arith.divui %[[J]], %c32
// ONE:           scf.for %[[K:.*]] = %c0 to %c24 step %c1
// ONE:             %[[STEPS:.*]] = arith.muli %[[PANEL]], %c24
// ONE:             %[[STEP:.*]] = arith.addi %[[STEPS]], %[[K]]
// ONE:             %[[NOW:.*]] = arith.muli %[[STEP]], %c2
// ONE:             %[[FIRST:.*]] = arith.addi %[[NOW]], %c128
// ONE:             arith.minui %[[FIRST]], %c95
// ONE:             memref.prefetch
// ONE:             memref.prefetch
// ONE-NOT:         memref.prefetch
// ONE:             "loop.contract_tile"

// Of a few rows, or where a panel is wider than a tile, nothing is asked for.
// LOW-LABEL: func.func private @two
// LOW-NOT:     memref.prefetch
// LOW:       func.func private @pixels
func.func private @two(%x: tensor<16x24xf32>, %w: tensor<24x64xf32>) -> tensor<16x64xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 16, 64, 24>},
    schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 32, 8, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<16x24xf32>, tensor<24x64xf32>) -> tensor<16x64xf32>
  return %0 : tensor<16x64xf32>
}

// The tiles of pixels are counted row by row, two in each of 3; steps are those of the window's elements and channels.
// CHECK-LABEL: func.func private @pixels
// CHECK-DAG:     %[[ROWS:.*]] = arith.muli %{{.*}}, %c2
// CHECK:         %[[TILE:.*]] = arith.addi %[[ROWS]], %{{.*}}
// CHECK:         arith.remui %[[TILE]], %c6
// CHECK:         memref.prefetch %{{.*}}[%c0, %c0, %c0, %c0, %{{.*}}], read, locality<2>, data : memref<2x1x2x5x16xf32>
// CHECK-NOT:     memref.prefetch
func.func private @pixels(%x: tensor<1x3x13x5xf32>, %w: tensor<32x5x1x2xf32>) -> tensor<1x3x12x32xf32> {
  "kernel.schedule"() {generator = "conv2d",
    iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 3, 12, 32, 1, 2, 5>},
    schedule = {cuts = [
      {memory = "device", enters = {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 2, 3, 1>}}}},
      {memory = "register", order = ["oc", "oh", "ow", "kw", "ic"], sizes = array<i64: 16, 1, 6, 1, 1>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x3x13x5xf32>, tensor<32x5x1x2xf32>) -> tensor<1x3x12x32xf32>
  return %0 : tensor<1x3x12x32xf32>
}

func.func @main(%x: tensor<16x24xf32>, %w: tensor<24x64xf32>, %y: tensor<1x3x13x5xf32>, %v: tensor<32x5x1x2xf32>)
    -> (tensor<16x64xf32>, tensor<1x3x12x32xf32>) {
  %0 = func.call @two(%x, %w) : (tensor<16x24xf32>, tensor<24x64xf32>) -> tensor<16x64xf32>
  %1 = func.call @pixels(%y, %v) : (tensor<1x3x13x5xf32>, tensor<32x5x1x2xf32>) -> tensor<1x3x12x32xf32>
  return %0, %1 : tensor<16x64xf32>, tensor<1x3x12x32xf32>
}
