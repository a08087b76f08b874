// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels)' %s | filecheck %s

// Of bfloat16, Winograd's variants compete with a step that multiplies twice as fast as they do. On a large map they are
// faster still; on a small one, whose transformed weights are most of what is moved, they are not.
// CHECK-LABEL: func.func private @conv2d_1x7x7x512
// CHECK:         schedule = {atom = "bf16_dot"
// CHECK-NOT:     variant
// CHECK-LABEL: func.func private @conv2d_1x56x56x64
// CHECK-NOT:     atom
// CHECK:         {weight = {transform = {inner_tiles = array<i64: 32>, outputs = array<i64: 4, 4>}}}
// CHECK-SAME:    variant = "winograd_4x4"
module attributes {terrace.target = {cpu = {}, features = ["avx512bf16", "avx512bw", "avx512f", "avx512vl"], name = "cpu", threads = 1 : i64}} {
  "graph.parameter"() {sym_name = "c", type = tensor<64x64x3x3xbf16>} : () -> ()
  "graph.parameter"() {sym_name = "d", type = tensor<512x512x3x3xbf16>} : () -> ()
  func.func @main(%image: tensor<1x56x56x64xbf16>, %deep: tensor<1x7x7x512xbf16>) {
    %c = "graph.load"() {symbol = @c} : () -> tensor<64x64x3x3xbf16>
    %d = "graph.load"() {symbol = @d} : () -> tensor<512x512x3x3xbf16>
    %0 = "graph.conv2d"(%image, %c) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x64xbf16>, tensor<64x64x3x3xbf16>) -> tensor<1x56x56x64xf32>
    %1 = "graph.conv2d"(%deep, %d) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x7x7x512xbf16>, tensor<512x512x3x3xbf16>) -> tensor<1x7x7x512xf32>
    return
  }
}
