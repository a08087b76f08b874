// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// Windows inside the image: static loops over the window around tiles of two pixels by four channels.
// CHECK-LABEL: func.func private @inside
// CHECK:         scf.for %[[ROW:.*]] = %c0 to %c2
// CHECK:           scf.for %[[KY:.*]] = %c0 to %c2 step %c1 iter_args
// CHECK-NEXT:        scf.for %[[KX:.*]] = %c0 to %c2 step %c1 iter_args
// CHECK:               "loop.load_tile"({{.*}}) {dims = array<i64: 2, 3>, {{.*}}strides = array<i64: 2, 1>} : {{.*}} -> vector<2x4xf32>
// CHECK:               arith.maximumf {{.*}} : vector<2x4xf32>
// CHECK:           "loop.store_tile"
func.func private @inside(%x: tensor<1x4x4x4xf32>) -> tensor<1x2x2x4xf32> {
  "kernel.schedule"() {generator = "pool2d", iteration_space = {kinds = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"], names = ["n", "oh", "ow", "c", "kh", "kw"], sizes = array<i64: 1, 2, 2, 4, 2, 2>}, schedule = {cuts = [
      {memory = "register", order = ["ow", "c"], sizes = array<i64: 2, 4>}]}} : () -> ()
  %0 = "graph.max_pool2d"(%x) {ceil_mode = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, layout = "NHWC", padding = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x4x4x4xf32>) -> tensor<1x2x2x4xf32>
  return %0 : tensor<1x2x2x4xf32>
}

// -----

// Windows that hang over the edge run over the part inside; the mean divides by the size of that part.
// CHECK-LABEL: func.func private @over_the_edge
// CHECK:         arith.maxsi
// CHECK:         arith.minui
// CHECK:         arith.sitofp
// CHECK:         vector.broadcast
// CHECK:         arith.divf
func.func private @over_the_edge(%x: tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> {
  "kernel.schedule"() {generator = "pool2d", iteration_space = {kinds = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"], names = ["n", "oh", "ow", "c", "kh", "kw"], sizes = array<i64: 1, 4, 4, 4, 3, 3>}, schedule = {cuts = [
      {memory = "register", order = ["c"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.avg_pool2d"(%x) {ceil_mode = false, count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, layout = "NHWC", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  return %0 : tensor<1x4x4x4xf32>
}
