// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s

// Padding without a copy: rows of the window above and below the image bound a loop. Along 12 columns, the first tile
// of 4 falls into its first pixel, which lacks the window's first column, and three whole ones; the last tile likewise;
// the tile between is whole.
// CHECK-LABEL: func.func private @depthwise
// CHECK-NOT:     loop.alloc
// CHECK:         %[[LOW:.*]] = arith.maxsi
// CHECK:         %[[HIGH:.*]] = arith.minui
// CHECK:         scf.for %{{.*}} = %[[LOW]] to %[[HIGH]] {{.*}} -> (vector<1x1x16xf32>, vector<1x3x16xf32>)
// CHECK-COUNT-5:   "loop.load_tile"({{.*}} (memref<1x7x12x32xf32>{{.*}} vector<1x{{[13]}}x16xf32>
// CHECK-NOT:       (memref<1x7x12x32xf32>
// CHECK:           scf.yield
// CHECK:         "loop.store_tile"({{.*}} (vector<1x1x16xf32>
// CHECK:         "loop.store_tile"({{.*}} (vector<1x3x16xf32>
// CHECK:         scf.for {{.*}} -> (vector<1x4x16xf32>)
// CHECK-COUNT-3:   "loop.load_tile"({{.*}} (memref<1x7x12x32xf32>{{.*}} vector<1x4x16xf32>
// CHECK-NOT:       (memref<1x7x12x32xf32>
// CHECK:           scf.yield
// CHECK:         scf.for {{.*}} -> (vector<1x3x16xf32>, vector<1x1x16xf32>)
// CHECK-COUNT-5:   "loop.load_tile"({{.*}} (memref<1x7x12x32xf32>{{.*}} vector<1x{{[13]}}x16xf32>
func.func private @depthwise(%x: tensor<1x7x12x32xf32>, %w: tensor<32x1x3x3xf32>) -> tensor<1x7x12x32xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 32, 7, 12, 1, 3, 3, 1>,
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]},
    schedule = {cuts = [
      {memory = "device", enters = {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 2, 3, 1>}}}},
      {memory = "register", order = ["g", "oh", "ow", "kw"], sizes = array<i64: 16, 1, 4, 3>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 32 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x7x12x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x7x12x32xf32>
  return %0 : tensor<1x7x12x32xf32>
}

func.func @main(%x: tensor<1x7x12x32xf32>, %w: tensor<32x1x3x3xf32>) -> tensor<1x7x12x32xf32> {
  %0 = call @depthwise(%x, %w) : (tensor<1x7x12x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x7x12x32xf32>
  return %0 : tensor<1x7x12x32xf32>
}
