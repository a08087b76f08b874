// RUN: terrace-opt --pass-pipeline='builtin.module(convert-kernel-to-loop,canonicalize,cse)' %s | filecheck %s

// Results of 2 rows at a time, 6 pixels apart in a plane of a 3x2 window with strides of 2: the inputs of a run of them
// are a run, too, of 16 pixels, the steps of channels apart. Sums of a panel wait in memory, with 6 pixels to a row.
// CHECK-LABEL: func.func private @strided
// CHECK:         %[[PIXELS:.*]] = "loop.alloc"() : () -> memref<4x2x34x32xbf16, "local">
// CHECK:         %[[SUMS:.*]] = "loop.alloc"() : () -> memref<16x16xf32, "local">
// CHECK-COUNT-4: scf.if
// CHECK:         scf.for %[[CHANNEL:.*]] = %c0 to %c32 step %c16
// CHECK:           scf.for %[[ROW:.*]] = %c0 to %c4 step %c2
// CHECK:             %[[PLACE:.*]] = arith.muli %[[ROW]], %c6
// The first element of the window, in the first plane; the last in the plane of even rows and odd columns, a row on.
// CHECK:             scf.for %[[AT:.*]] = %c0 to %c64 step %c32
// CHECK:               %[[STEP:.*]] = arith.divui %[[AT]], %c32
// CHECK:               "loop.load_tile"(%[[PIXELS]], %c0, %[[STEP]], %[[PLACE]], %c0) {dims = array<i64: 2, 3>, {{.*}} -> vector<16x32xbf16>
// CHECK:               "loop.contract_tile"({{.*}}) {atom = "amx_bf16"} : (vector<16x32xbf16>, vector<16x16x2xbf16>, vector<16x16xf32>) -> vector<16x16xf32>
// CHECK:             %[[LATER:.*]] = arith.addi %[[PLACE]], %c6
// CHECK:               "loop.load_tile"(%[[PIXELS]], %c1, %{{.*}}, %[[LATER]], %c0)
// CHECK:             "loop.store_tile"(%{{.*}}, %[[SUMS]], %c0, %c0)
// CHECK:               "loop.load_tile"(%[[SUMS]], %{{.*}}, %c0) {dims = array<i64: -1, 0, 1>, {{.*}} -> vector<1x6x16xf32>
func.func private @strided(%x: tensor<1x9x12x64xbf16>, %w: tensor<32x64x3x2xbf16>) -> tensor<1x4x6x32xbf16> {
  "kernel.schedule"() {generator = "conv2d",
    iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 1, 4, 6, 32, 3, 2, 64>,
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]},
    schedule = {atom = "amx_bf16", variant = "implicit_gemm", cuts = [
      {memory = "device", enters = {weight = {pack = {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 2>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, parallel = ["n"], enters = {input = {copy = {}}}},
      {memory = "register", order = ["oh", "ow", "oc", "kw", "ic"], sizes = array<i64: 2, 16, 16, 1, 32>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 2>, padding = array<i64: 0, 0, 0, 0>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x9x12x64xbf16>, tensor<32x64x3x2xbf16>) -> tensor<1x4x6x32xbf16>
  return %0 : tensor<1x4x6x32xbf16>
}

// Of 3 channels a row of the 3x3 window is 9 terms, behind which there are zeros: whatever local memory held, NaN times
// their weights, which are zero, would be NaN. Beside the first and the last column there are two thirds of a row.
// CHECK-LABEL: func.func private @few_channels
// CHECK-DAG:     %[[ZEROS:.*]] = arith.constant dense<0.000000e+00> : vector<32xbf16>
// CHECK:         %[[PIXELS:.*]] = "loop.alloc"() : () -> memref<1x1x48x32xbf16, "local">
// CHECK:         %[[ROWS:.*]] = memref.collapse_shape %{{.*}} {{\[\[}}0], [1], [2, 3]] : memref<1x4x8x3xbf16> into memref<1x4x24xbf16>
// CHECK:         scf.for %[[COLUMN:.*]] = %c1 to %c7
// CHECK:           %[[PLACE:.*]] = arith.addi %{{.*}}, %[[COLUMN]]
// CHECK:           "loop.store_tile"(%[[ZEROS]], %[[PIXELS]], %c0, %c0, %[[PLACE]], %c0)
// CHECK:           %[[ROW:.*]] = "loop.load_tile"(%[[ROWS]], {{.*}} -> vector<9xbf16>
// CHECK:           "loop.store_tile"(%[[ROW]], %[[PIXELS]], %c0, %c0, %[[PLACE]], %c0)
// CHECK:         "loop.store_tile"(%[[ZEROS]], %[[PIXELS]], %c0, %c0, %[[FIRST:.*]], %c0)
// CHECK:         %[[PART:.*]] = "loop.load_tile"(%[[ROWS]], {{.*}} -> vector<6xbf16>
// CHECK:         "loop.store_tile"(%[[PART]], %[[PIXELS]], %c0, %c0, %[[FIRST]], %c3)
func.func private @few_channels(%x: tensor<1x4x8x3xbf16>, %w: tensor<16x3x3x3xbf16>) -> tensor<1x4x8x16xbf16> {
  "kernel.schedule"() {generator = "conv2d",
    iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 1, 4, 8, 16, 3, 3, 3>,
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]},
    schedule = {atom = "amx_bf16", variant = "implicit_gemm", cuts = [
      {memory = "device", enters = {weight = {pack_rows = {inner_tiles = array<i64: 16, 2>, terms = array<i64: 32>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, parallel = ["n"], enters = {input = {copy = {}}}},
      {memory = "register", order = ["oh", "ow", "oc", "kw", "ic"], sizes = array<i64: 2, 16, 16, 1, 32>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x4x8x3xbf16>, tensor<16x3x3x3xbf16>) -> tensor<1x4x8x16xbf16>
  return %0 : tensor<1x4x8x16xbf16>
}
