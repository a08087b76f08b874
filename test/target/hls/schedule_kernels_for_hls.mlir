// RUN: terrace-opt --schedule-kernels-for-hls %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(schedule-kernels-for-hls{local-bytes=100})' %s | filecheck %s --check-prefix=SMALL
// RUN: terrace-opt --schedule-kernels-for-hls --verify-diagnostics %S/Inputs/refused_schedules.mlir

// The rows of one output row exceed local memory: the image is padded before.
// SMALL-LABEL: func.func private @conv
// SMALL:         [{enters = {input = {pad = {high = array<i64: 0, 1, 1, 0>, low = array<i64: 0, 1, 1, 0>}}}, memory = "device"}, {memory = "register"

// Padding goes through local memory; tiles divide the channels.
// CHECK-LABEL: func.func private @conv
// CHECK:         [{enters = {input = {copy = {}}}, memory = "local"},
// CHECK-SAME:    order = ["oh", "ow", "g", "oc", "kw", "ic"], sizes = array<i64: 1, 1, 1, 12, 1, 1>
func.func private @conv(%x: tensor<1x8x8x2xf32>, %w: tensor<24x2x3x3xf32>) -> tensor<1x8x8x24xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"], names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 1, 8, 8, 24, 3, 3, 2>}, schedule = {}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x8x2xf32>, tensor<24x2x3x3xf32>) -> tensor<1x8x8x24xf32>
  return %0 : tensor<1x8x8x24xf32>
}

// A kernel that has a schedule keeps it.
// CHECK-LABEL: func.func private @kept
// CHECK:         sizes = array<i64: 4>
func.func private @kept(%x: tensor<8xf32>) -> tensor<8xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 8>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.exp"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
