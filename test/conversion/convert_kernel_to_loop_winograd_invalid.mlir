// RUN: terrace-opt --convert-kernel-to-loop --split-input-file --verify-diagnostics %s

// A family says which variants it has.
// expected-error @+1 {{@kernel: matmul has no variant 'strassen'; it has direct}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {variant = "strassen", cuts = [{memory = "register", order = ["m", "n"], sizes = array<i64: 4, 8>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// What is computed so.
// expected-error @+1 {{@kernel: winograd_4x4 is for windows of 3x3}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x2x3xf32>) -> tensor<1x9x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 9, 8, 8, 2, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {pack = {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x2x3xf32>) -> tensor<1x9x8x8xf32>
  return %0 : tensor<1x9x8x8xf32>
}

// -----

// A stride.
// expected-error @+1 {{@kernel: winograd_4x4 is for convolutions without strides, dilations and groups}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x4x4x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 4, 4, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 2, 2>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x4x4x8xf32>
  return %0 : tensor<1x4x4x8xf32>
}

// -----

// More than a window of padding.
// expected-error @+1 {{@kernel: winograd_4x4 is for padding below 3}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x10x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 10, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 3, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x10x8x8xf32>
  return %0 : tensor<1x10x8x8xf32>
}

// -----

// All of an image that has any size.
// expected-error @+1 {{@kernel: winograd_4x4 needs 'ow' cut for 'local' where an image's size is known at run time only}}
func.func private @kernel(%x: tensor<1x8x?x4xf32>, %w: tensor<8x4x3x3xf32>, %s: index) -> tensor<1x8x?x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, -9223372036854775808, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x?x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x?x8xf32>
  return %0 : tensor<1x8x?x8xf32>
}

// -----

// Blocks that cut tiles apart.
// expected-error @+1 {{@kernel: winograd_4x4 needs 'ow' cut in tiles of 4 for 'local'}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n", "ow"], sizes = array<i64: 1, 2>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 2>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// The weights of another variant.
// expected-error @+1 {{@kernel: winograd_2x2 needs 'weight' by transform with outputs of 2}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_2x2", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// The input as it lies in memory.
// expected-error @+1 {{@kernel: winograd_4x4 needs 'input' staged in local memory}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// A tile would straddle two blocks of the weights.
// expected-error @+1 {{the weights' block of channels must be a multiple of the tile size of 'oc'}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 3, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// Tiles that nobody has points for.
// expected-error @+1 {{a packing does not fit its argument: transform needs outputs of 2 or 4 along both axes, got [3, 3]}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_4x4", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 3, 3>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// No such variant.
// expected-error @+1 {{@kernel: conv2d has no variant 'winograd_6x6'; it has direct, implicit_gemm, winograd_2x2, winograd_4x4}}
func.func private @kernel(%x: tensor<1x8x8x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 8, 3, 3, 4>},
    schedule = {variant = "winograd_6x6", cuts = [
      {memory = "device", enters = {weight = {transform = {outputs = array<i64: 4, 4>, inner_tiles = array<i64: 8>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 8, 4, 8>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}
