// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels,verify-schedules)' %s | filecheck %s

// Local memory has room for a product beyond the tiles of an image of any size, and still suffices: verify-schedules
// would refuse what exceeds it. The sizes that the model was exported with choose the variant.
// CHECK-LABEL: func.func private @conv2d_1xdxdx640
// CHECK:         variant = "winograd_4x4"
module attributes {terrace.target = {cpu = {local_bytes = 4194304 : i64}, features = ["avx512f"], name = "cpu", threads = 1 : i64}} {
  "graph.parameter"() {sym_name = "w", type = tensor<640x640x3x3xf32>} : () -> ()
  func.func @main(%x: tensor<1x?x?x640xf32>) -> tensor<1x?x?x640xf32> attributes {terrace_example_shapes = [array<i64: 1, 56, 56, 640>]} {
    %w = "graph.load"() {symbol = @w} : () -> tensor<640x640x3x3xf32>
    %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x?x?x640xf32>, tensor<640x640x3x3xf32>) -> tensor<1x?x?x640xf32>
    return %0 : tensor<1x?x?x640xf32>
  }
}
