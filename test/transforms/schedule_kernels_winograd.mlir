// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels)' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{vector-bits=256 vector-registers=16 workers=4})' %s | filecheck %s --check-prefix=AVX2
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false})' %s | filecheck %s --check-prefix=OFF

// A deep, large map: tiles of 4x4. A small one, whose weights are most of what is moved: tiles of 2x2. Few channels, a
// stride, weights that are no constants: the products of the definition.
// CHECK-LABEL: func.func private @conv2d_1x30x30x8
// CHECK-NOT:     variant
// CHECK-LABEL: func.func private @conv2d_1x28x28x64
// CHECK-NOT:     variant
// CHECK-LABEL: func.func private @conv2d_1x56x56x8
// CHECK-NOT:     variant
// CHECK-LABEL: func.func private @conv2d_1x7x7x512
// CHECK:         {weight = {transform = {inner_tiles = array<i64: 32>, outputs = array<i64: 2, 2>}}}, memory = "device"
// CHECK-SAME:    variant = "winograd_2x2"
// CHECK-LABEL: func.func private @conv2d_1x56x56x64
// CHECK:         {enters = {weight = {transform = {inner_tiles = array<i64: 32>, outputs = array<i64: 4, 4>}}}, memory = "device"},
// CHECK-SAME:    {enters = {input = {copy = {}}}, memory = "local", order = ["n", "ow", "ic"], parallel = ["n", "ow"], sizes = array<i64: 1, {{[0-9]+}}, 16>},
// CHECK-SAME:    {memory = "register", order = ["oc", "oh", "ow", "ic"], sizes = array<i64: 32, 4, 56, 1>}], variant = "winograd_4x4"}

// Half the lanes and half the registers.
// AVX2-LABEL:  func.func private @conv2d_1x56x56x64
// AVX2:          {weight = {transform = {inner_tiles = array<i64: 32>, outputs = array<i64: 4, 4>}}}
// AVX2-SAME:     variant = "winograd_4x4"

// OFF-NOT:     variant
"graph.parameter"() {sym_name = "c", type = tensor<64x64x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "d", type = tensor<512x512x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "e", type = tensor<8x3x3x3xf32>} : () -> ()
func.func @main(%image: tensor<1x56x56x64xf32>, %deep: tensor<1x7x7x512xf32>, %flat: tensor<1x56x56x3xf32>,
                %w: tensor<8x8x3x3xf32>, %x: tensor<1x30x30x8xf32>) {
  %c = "graph.load"() {symbol = @c} : () -> tensor<64x64x3x3xf32>
  %d = "graph.load"() {symbol = @d} : () -> tensor<512x512x3x3xf32>
  %e = "graph.load"() {symbol = @e} : () -> tensor<8x3x3x3xf32>
  %0 = "graph.conv2d"(%image, %c) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x56x56x64xf32>
  %1 = "graph.conv2d"(%deep, %d) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x7x7x512xf32>, tensor<512x512x3x3xf32>) -> tensor<1x7x7x512xf32>
  %2 = "graph.conv2d"(%flat, %e) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x3xf32>, tensor<8x3x3x3xf32>) -> tensor<1x56x56x8xf32>
  %3 = "graph.conv2d"(%image, %c) {strides = array<i64: 2, 2>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x28x28x64xf32>
  %4 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x30x30x8xf32>, tensor<8x8x3x3xf32>) -> tensor<1x30x30x8xf32>
  return
}
