// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels)' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false})' %s | filecheck %s

// Where blocks are multiplied at once, a convolution is their products. Of 64 channels each element of the window has
// two steps of 32; of 3 channels a row of the window, 21 elements and zeros, has one. Some weights are no constants.
// CHECK-LABEL: func.func private @conv2d_1x10x10x64
// CHECK-NOT:     variant
// CHECK-LABEL: func.func private @conv2d_1x28x28x64_2
// CHECK:         schedule = {atom = "amx_bf16", cuts = [{enters = {weight = {pack_rows = {inner_tiles = array<i64: 32, 2>, terms = array<i64: 32>}}}, memory = "device"}, {enters = {input = {copy = {}}}, memory = "local", order = ["n"], parallel = ["n"], sizes = array<i64: 1>}, {memory = "register", order = ["oh", "ow", "oc", "kw", "ic"], sizes = array<i64: {{[0-9]+}}, 32, 32, 1, 32>}], variant = "implicit_gemm"}
// CHECK-LABEL: func.func private @conv2d_1x28x28x64
// CHECK:         schedule = {atom = "amx_bf16", cuts = [{enters = {weight = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 2>, outer_permutation = array<i64: 0, 2, 3, 1>}}}, memory = "device"}
// CHECK-SAME:    variant = "implicit_gemm"
module attributes {terrace.target = {name = "cpu", features = ["amx-bf16", "amx-tile", "avx512bw", "avx512f", "avx512vl"], cpu = {}}} {
"graph.parameter"() {sym_name = "w", type = tensor<64x64x3x3xbf16>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<64x3x7x7xbf16>} : () -> ()
func.func @main(%x: tensor<1x28x28x64xbf16>, %i: tensor<1x56x56x3xbf16>, %y: tensor<1x10x10x64xbf16>, %v: tensor<64x64x1x1xbf16>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<64x64x3x3xbf16>
  %s = "graph.load"() {symbol = @s} : () -> tensor<64x3x7x7xbf16>
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x64xbf16>, tensor<64x64x3x3xbf16>) -> tensor<1x28x28x64xbf16>
  %1 = "graph.conv2d"(%i, %s) {strides = array<i64: 2, 2>, padding = array<i64: 3, 3, 3, 3>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x3xbf16>, tensor<64x3x7x7xbf16>) -> tensor<1x28x28x64xbf16>
  %2 = "graph.conv2d"(%y, %v) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x10x10x64xbf16>, tensor<64x64x1x1xbf16>) -> tensor<1x10x10x64xbf16>
  return
}
}
