// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// Six rows of pixels are transformed down the columns, into a strip, where the image is under all of them; else they are
// copied, or cleared, before. Along the rows the transform fills 36 planes with a row for each of the two tiles.
// CHECK-LABEL: func.func private @blocks
// CHECK-SAME:    (%arg0: tensor<2x8x8x5xf32>, %arg1: tensor<2x36x5x8xf32>, %arg2: tensor<10xf32>)
// CHECK-DAG:     %[[X:.*]] = "loop.to_buffer"(%arg0)
// CHECK-DAG:     %[[W:.*]] = "loop.to_buffer"(%arg1)
// CHECK:         "loop.parallel"
// CHECK:         ^bb0(%[[IMAGE:.*]]: index, %[[BLOCK:.*]]: index):
// CHECK-DAG:       %[[INPUTS:.*]] = "loop.alloc"() : () -> memref<36x3x21xf32, "local">
// CHECK-DAG:       %[[SUMS:.*]] = "loop.alloc"() : () -> memref<36x3x8xf32, "local">
// CHECK-DAG:       %[[HALF:.*]] = "loop.alloc"() : () -> memref<4x6x4xf32, "local">
// CHECK-DAG:       %[[STRIP:.*]] = "loop.alloc"() : () -> memref<6x10x4xf32, "local">
// CHECK:           scf.if
// CHECK-COUNT-6:     "loop.load_tile"(%[[X]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-6:     "loop.store_tile"({{.*}}, %[[STRIP]], {{.*}}
// CHECK:           } else {
// CHECK:             "loop.load_tile"(%[[X]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-6:     "loop.load_tile"(%[[STRIP]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-6:     "loop.store_tile"({{.*}}, %[[STRIP]], {{.*}}
// CHECK:           }
// CHECK-COUNT-6:   "loop.load_tile"(%[[STRIP]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-6:   "loop.store_tile"({{.*}}, %[[INPUTS]], {{.*}}
// The fifth channel is a tail.
// CHECK:           "loop.store_tile"({{.*}}, %[[INPUTS]], {{.*}} : (vector<1xf32>

// Eight channels, then two. A product of both tiles for every plane, by a loop; then each tile's results.
// CHECK:           scf.for %[[PLANE:.*]] = %c0 to %c36 step %c1
// CHECK:             "loop.load_tile"(%[[INPUTS]], %[[PLANE]], %c0, %[[K:.*]]) {{.*}} -> vector<2x1xf32>
// CHECK:             "loop.load_tile"(%[[W]], %c0, %[[PLANE]], %[[K]], %c0) {{.*}} -> vector<1x8xf32>
// CHECK:             "loop.contract_tile"
// CHECK:             "loop.store_tile"({{.*}}, %[[SUMS]], {{.*}}
// CHECK-COUNT-6:   "loop.load_tile"(%[[SUMS]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-4:   "loop.store_tile"({{.*}}, %[[HALF]], {{.*}}
// CHECK-COUNT-6:   "loop.load_tile"(%[[HALF]], {{.*}} -> vector<4xf32>
// CHECK-COUNT-4:   arith.select
// CHECK:           "loop.load_tile"(%[[W]], %c1, {{.*}} -> vector<1x2xf32>
// CHECK:           "loop.contract_tile"
func.func private @blocks(%x: tensor<2x8x8x5xf32>, %w: tensor<10x5x3x3xf32>, %b: tensor<10xf32>) -> tensor<2x8x8x10xf32> {
  "kernel.schedule"() {generator = "conv2d",
    iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 2, 1, 8, 8, 10, 3, 3, 5>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n", "ow", "ic"], sizes = array<i64: 1, 8, 4>, parallel = ["n", "ow"], enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow", "ic"], sizes = array<i64: 8, 4, 8, 1>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<2x8x8x5xf32>, tensor<10x5x3x3xf32>) -> tensor<2x8x8x10xf32>
  %1 = "graph.add"(%0, %b) : (tensor<2x8x8x10xf32>, tensor<10xf32>) -> tensor<2x8x8x10xf32>
  %2 = "graph.relu"(%1) : (tensor<2x8x8x10xf32>) -> tensor<2x8x8x10xf32>
  return %2 : tensor<2x8x8x10xf32>
}
// The weights of a launch are transformed in float64, and rounded once.
// CHECK-LABEL: func.func @main
// CHECK-DAG:     %[[G:.*]] = arith.constant {{.*}} : tensor<9x36xf64>
// CHECK:         %[[FILTERS:.*]] = "graph.reshape"(%{{.*}}) : (tensor<10x5x3x3xf32>) -> tensor<50x9xf32>
// CHECK:         %[[WIDE:.*]] = "graph.cast"(%[[FILTERS]]) : (tensor<50x9xf32>) -> tensor<50x9xf64>
// CHECK:         %[[PLANES:.*]] = "graph.matmul"(%[[WIDE]], %[[G]]) {transpose_rhs = false}
// CHECK:         "graph.cast"(%[[PLANES]]) : (tensor<50x36xf64>) -> tensor<50x36xf32>
// CHECK:         %[[PACKED:.*]] = "graph.pack"({{.*}} -> tensor<2x36x5x8xf32>
// CHECK:         call @blocks(%{{.*}}, %[[PACKED]], %{{.*}})
func.func @main(%x: tensor<2x8x8x5xf32>, %w: tensor<10x5x3x3xf32>, %b: tensor<10xf32>) -> tensor<2x8x8x10xf32> {
  %0 = func.call @blocks(%x, %w, %b) : (tensor<2x8x8x5xf32>, tensor<10x5x3x3xf32>, tensor<10xf32>) -> tensor<2x8x8x10xf32>
  return %0 : tensor<2x8x8x10xf32>
}

// -----

// An odd image lower than a tile's input: its rows are always copied, what lies beyond is not stored, and the
// last block has a count of tiles of its own.
// CHECK-LABEL: func.func private @odd
// CHECK-NOT:     } else {
// CHECK:         "loop.load_tile"(%{{.*}} -> vector<4xf32>
// CHECK:         "loop.contract_tile"({{.*}} : (vector<5x1xf32>, vector<1x4xf32>, vector<5x4xf32>)
// CHECK:         "loop.contract_tile"({{.*}} : (vector<1x1xf32>, vector<1x4xf32>, vector<1x4xf32>)
// CHECK:         "loop.store_tile"({{.*}} : (vector<4xf32>, memref<1x3x5x4xf32>
// CHECK:         scf.if
// CHECK-NEXT:      "loop.store_tile"({{.*}} : (vector<4xf32>, memref<1x3x5x4xf32>
func.func private @odd(%x: tensor<1x3x5x4xf32>, %w: tensor<4x4x3x3xf32>) -> tensor<1x3x5x4xf32> {
  "kernel.schedule"() {generator = "conv2d",
    iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 3, 5, 4, 3, 3, 4>},
    schedule = {variant = "winograd_2x2", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 2, 2>, inner_tiles = array<i64: 4>}}}},
      {memory = "local", order = ["ow", "ic"], sizes = array<i64: 10, 4>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow", "ic"], sizes = array<i64: 4, 2, 10, 1>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x3x5x4xf32>, tensor<4x4x3x3xf32>) -> tensor<1x3x5x4xf32>
  return %0 : tensor<1x3x5x4xf32>
}
