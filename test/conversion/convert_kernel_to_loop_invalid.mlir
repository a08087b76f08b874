// RUN: terrace-opt --convert-kernel-to-loop --split-input-file --verify-diagnostics %s

// An unknown generator.
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  // expected-error @+1 {{names no generator 'wavelet'; known are attention, conv2d, copy, elementwise, encoded_matmul, gather, group_norm, matmul}}
  "kernel.schedule"() {generator = "wavelet", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [{memory = "register", order = ["m", "n"], sizes = array<i64: 4, 16>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// No schedule yet.
// expected-error @+1 {{@kernel has no schedule yet; run schedule-kernels first}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// A tile would straddle two blocks of the layout.
// expected-error @+1 {{@kernel: tile size 16 of 'n' must divide the layout's block of 24}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 24>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Rows in blocks are no layout that the generator reads.
// expected-error @+1 {{the layout of rhs must be blocks of columns}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Only rhs may be laid out.
// expected-error @+1 {{@kernel: 'lhs' cannot enter 'device' by pack; matmul cannot do it}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "device", enters = {lhs = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 2>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Only operands of the contraction may be staged.
// expected-error @+1 {{@kernel: 'bias' cannot enter 'local' by copy; matmul cannot do it}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "local", enters = {bias = {copy = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Not both packed and staged.
// expected-error @+1 {{can stage rhs only when it is row-major}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "local", enters = {rhs = {copy = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Padding must be made somewhere.
// expected-error @+1 {{padding needs the input staged in local memory, or else entering 'device' by pad with {'low': [0, 1, 1, 0], 'high': [0, 1, 1, 0]}}}
func.func private @kernel(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "local", order = ["n"], sizes = array<i64: 1>},
      {memory = "register", order = ["oc", "ow"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// Made twice.
// expected-error @+1 {{padding needs the input staged}}
func.func private @kernel(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "device", enters = {input = {pad = {high = array<i64: 0, 1, 1, 0>, low = array<i64: 0, 1, 1, 0>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "ow"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// The weights' layout.
// expected-error @+1 {{the layout of the weights must be [out/w][kh][kw][in][w]}}
func.func private @kernel(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "device", enters = {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 1, 2, 3>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "ow"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// A tile would straddle two blocks of the layout.
// expected-error @+1 {{the layout's block of 8 channels must be a multiple of the tile size 16 of 'oc'}}
func.func private @kernel(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "device", enters = {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 8>, outer_permutation = array<i64: 0, 2, 3, 1>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "ow"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// A tile holds one group, unless each is one channel.
// expected-error @+1 {{'g' must not be cut for 'register', as conv2d does not cut it}}
func.func private @kernel(%x: tensor<1x8x8x10xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 2, 8, 8, 8, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["g", "oc", "ow"], sizes = array<i64: 2, 8, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 2 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x10xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// The elementwise generator has nothing to stage.
// expected-error @+1 {{@kernel: 'x' cannot enter 'local' by copy; elementwise cannot do it}}
func.func private @kernel(%x: tensor<8xf32>) -> tensor<8xf32> {
  "kernel.schedule"() {generator = "elementwise",
    iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 8>},
    schedule = {cuts = [
      {memory = "local", enters = {x = {copy = {}}}},
      {memory = "register", order = ["d0"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.exp"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// Padding of another rank.
// expected-error @+1 {{@kernel: a packing does not fit its argument: attribute 'low' must have 4 elements, got 2}}
func.func private @kernel(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [
      {memory = "device", enters = {input = {pad = {high = array<i64: 0, 0>, low = array<i64: 0, 0>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "ow"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  return %0 : tensor<1x8x8x16xf32>
}

// -----

// k runs inside of a tile.
// expected-error @+1 {{@kernel: what is summed must come last in the order for 'register'}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [{memory = "register", order = ["k", "n", "m"], sizes = array<i64: 1, 8, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Dimensions of other names than the generator knows.
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  // expected-error @+1 {{must have the iteration_space of its ops: {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 4, 40, 6>}}}
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "q", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [{memory = "register", order = ["m", "k"], sizes = array<i64: 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// A size that is not that of the operands.
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  // expected-error @+1 {{must have the iteration_space of its ops: {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 4, 40, 6>}}}
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 3>},
    schedule = {cuts = [{memory = "register", order = ["n", "m", "k"], sizes = array<i64: 8, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Two dimensions of rows, which were left as they are in the model.
func.func private @kernel(%x: tensor<4x6x2xf32>, %w: tensor<2x40xf32>) -> tensor<4x6x40xf32> {
  // expected-error @+1 {{has dimensions m0, m1, n, k; 'matmul' needs those of one kind as one, an axis of each tensor}}
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m0", "m1", "n", "k"], kinds = ["parallel", "parallel", "parallel", "reduction"], sizes = array<i64: 4, 6, 40, 2>},
    schedule = {cuts = [{memory = "register", order = ["n", "k"], sizes = array<i64: 8, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6x2xf32>, tensor<2x40xf32>) -> tensor<4x6x40xf32>
  return %0 : tensor<4x6x40xf32>
}

// -----

// Another family's generator.
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  // expected-error @+1 {{names generator 'row_reduction', but its ops are those of 'matmul'}}
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [{memory = "register", order = ["m", "n"], sizes = array<i64: 4, 8>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}

// -----

// Ops that the generator would take for others.
func.func private @kernel(%x: tensor<4x6xi32>) -> tensor<4x6xi32> {
  // expected-error @+1 {{has ops that generator 'row_reduction' does not take: element type i32 of graph.softmax}}
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 6>},
    schedule = {cuts = [{memory = "register", order = ["n"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<4x6xi32>) -> tensor<4x6xi32>
  return %0 : tensor<4x6xi32>
}

// -----

// Partial sums of what is no sum, and terms of what is divided by none.
// expected-error @+1 {{'result' cannot leave 'local' by sums; row_reduction cannot do it}}
func.func private @kernel(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 6>},
    schedule = {cuts = [{memory = "local", leaves = {result = {sums = {}}}},
                        {memory = "register", order = ["n"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// expected-error @+1 {{'result' cannot leave 'local' by terms; row_reduction cannot do it}}
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6xf32>) -> tensor<4x6xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 6>},
    schedule = {cuts = [{memory = "local", leaves = {result = {terms = {}}}},
                        {memory = "register", order = ["n"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.rms_norm"(%x, %w) {epsilon = 1.000000e-06 : f64} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// What is before lines along the first dimension has size 1 in a kernel.
func.func private @kernel(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  // expected-error @+1 {{has dimensions m, n, l; 'row_reduction' needs those of one kind as one, an axis of each tensor}}
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n", "l"], kinds = ["parallel", "reduction", "parallel"], sizes = array<i64: 1, 4, 6>},
    schedule = {cuts = [{memory = "register", order = ["l"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 0 : i64} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// Lines of unknown length are not copied.
// expected-error @+1 {{can keep lines of a static length only}}
func.func private @kernel(%x: tensor<1x?x6xf32>, %n: index) -> tensor<1x?x6xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n", "l"], kinds = ["parallel", "reduction", "parallel"], sizes = array<i64: 1, -9223372036854775808, 6>},
    schedule = {cuts = [{memory = "local", enters = {input = {copy = {}}}},
                        {memory = "register", order = ["l"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<1x?x6xf32>) -> tensor<1x?x6xf32>
  return %0 : tensor<1x?x6xf32>
}

// -----

// A row of unknown length has no local memory.
// expected-error @+1 {{can keep the terms of rows of a static length only}}
func.func private @kernel(%x: tensor<4x?xf32>, %n: index) -> tensor<4x?xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {
      names = ["m", "n"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, -9223372036854775808>},
    schedule = {cuts = [{memory = "local", leaves = {result = {terms = {}}}},
                        {memory = "register", order = ["n"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  return %0 : tensor<4x?xf32>
}

// -----

// expected-error @+1 {{@kernel must return a tensor; it is a kernel}}
func.func private @kernel(%x: tensor<4xf32>) {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 4>},
    schedule = {cuts = [{memory = "register", order = ["d0"], sizes = array<i64: 4>}]}} : () -> ()
  return
}

// -----

// An atom needs rhs as it packs it.
// expected-error @+1 {{the layout of rhs must be blocks of columns, [n/w][k/q][w][q] for an atom}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Sums that nothing adds.
// expected-error @+1 {{rhs has sums beside it, which only an atom needs}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {cuts = [{memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// What was packed for an atom is not copied once more.
// expected-error @+1 {{an atom reads rhs as it was packed; nothing must enter 'local'}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "local", order = ["k"], sizes = array<i64: 4>, enters = {lhs = {copy = {}}, rhs = {copy = {}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Half a step.
// expected-error @+1 {{tile size 2 of 'k' must be a multiple of the 4 packed}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "register", order = ["k"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// An atom needs the weights of a convolution as it packs them.
// expected-error @+1 {{the layout of the weights must be [out/w][kh][kw][in/q][w][q] for an atom}}
func.func private @kernel(%x: tensor<1x4x4x8xi8>, %w: tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 4, 4, 16, 1, 1, 8>},
    schedule = {atom = "int8_dot", cuts = []}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
    groups = 1 : i64, layout = "NHWC"} : (tensor<1x4x4x8xi8>, tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32>
  return %0 : tensor<1x4x4x16xi32>
}

// -----

// Sums that nothing adds to a convolution.
// expected-error @+1 {{the weights have sums beside them, which only an atom needs}}
func.func private @kernel(%x: tensor<1x4x4x8xi8>, %w: tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 4, 4, 16, 1, 1, 8>},
    schedule = {cuts = [{memory = "device", enters = {weight = {pack_with_sums = {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>}}}}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
    groups = 1 : i64, layout = "NHWC"} : (tensor<1x4x4x8xi8>, tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32>
  return %0 : tensor<1x4x4x16xi32>
}

// -----

// Half a step of channels.
// expected-error @+1 {{tile size of 'ic' must be a multiple of the 4 channels packed together}}
func.func private @kernel(%x: tensor<1x4x4x8xi8>, %w: tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 4, 4, 16, 1, 1, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "device", enters = {weight = {pack_with_sums = {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "register", order = ["ic"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
    groups = 1 : i64, layout = "NHWC"} : (tensor<1x4x4x8xi8>, tensor<16x8x1x1xi8>) -> tensor<1x4x4x16xi32>
  return %0 : tensor<1x4x4x16xi32>
}

// -----

// Sums of no columns.
// expected-error @+1 {{@kernel: a packing does not fit its argument: pack_with_sums needs the dimension of columns in its inner_dims}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {cuts = [{memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64>, inner_tiles = array<i64>}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Sums of floats.
// expected-error @+1 {{@kernel: a packing does not fit its argument: pack_with_sums is for i8, got f32}}
func.func private @kernel(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {cuts = [{memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

// A tile is one worker's.
// expected-error @+1 {{nothing is parallel in the cut for 'register'}}
func.func private @kernel(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {cuts = [{memory = "register", order = ["n"], sizes = array<i64: 16>, parallel = ["n"]}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

// A family that multiplies by no atom.
// expected-error @+1 {{@kernel: elementwise multiplies by no atom, got 'int8_dot'}}
func.func private @kernel(%x: tensor<8xf32>) -> tensor<8xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 8>},
    schedule = {atom = "int8_dot", cuts = []}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// No schedule changes the order of a sum.
// expected-error @+1 {{'k' is summed in chunks of 512; its block must be a multiple, got 256}}
func.func private @kernel(%x: tensor<4x1024xf32>, %w: tensor<1024x16xf32>) -> tensor<4x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 1024>},
    schedule = {cuts = [{memory = "local", order = ["k"], sizes = array<i64: 256>, leaves = {result = {sums = {}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x1024xf32>, tensor<1024x16xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

// Sums of what is not cut are whole.
// expected-error @+1 {{can keep sums only of blocks of static sizes, with a static 'k' that is cut, too}}
func.func private @kernel(%x: tensor<4x1024xf32>, %w: tensor<1024x16xf32>) -> tensor<4x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 1024>},
    schedule = {cuts = [{memory = "local", order = ["m"], sizes = array<i64: 4>, leaves = {result = {sums = {}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x1024xf32>, tensor<1024x16xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

// It has one result.
// expected-error @+1 {{'x' cannot leave 'local' by sums; matmul cannot do it}}
func.func private @kernel(%x: tensor<4x1024xf32>, %w: tensor<1024x16xf32>) -> tensor<4x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 1024>},
    schedule = {cuts = [{memory = "local", order = ["k"], sizes = array<i64: 512>, leaves = {x = {sums = {}}}}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x1024xf32>, tensor<1024x16xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

// A tile of a depthwise convolution would straddle two blocks of the layout, too.
// expected-error @+1 {{the layout's block of 16 channels must be a multiple of the tile size 5 of 'g'}}
func.func private @kernel(%x: tensor<1x7x7x37xf32>, %w: tensor<37x1x3x3xf32>) -> tensor<1x5x5x37xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 37, 5, 5, 1, 3, 3, 1>,
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]},
    schedule = {cuts = [
      {memory = "device", enters = {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 2, 3, 1>}}}},
      {memory = "register", order = ["g", "ow"], sizes = array<i64: 5, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, groups = 37 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x7x7x37xf32>, tensor<37x1x3x3xf32>) -> tensor<1x5x5x37xf32>
  return %0 : tensor<1x5x5x37xf32>
}

// -----

// The segments of a row's edge are tiles of their own.
// expected-error @+1 {{padding in place needs 'ow' innermost, and a tile size 3 of 'kw'}}
func.func private @kernel(%x: tensor<1x7x7x37xf32>, %w: tensor<37x1x3x3xf32>) -> tensor<1x7x7x37xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"], sizes = array<i64: 1, 37, 7, 7, 1, 3, 3, 1>,
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]},
    schedule = {cuts = [{memory = "register", order = ["ow", "g", "kw"], sizes = array<i64: 4, 16, 3>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 37 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x7x7x37xf32>, tensor<37x1x3x3xf32>) -> tensor<1x7x7x37xf32>
  return %0 : tensor<1x7x7x37xf32>
}

// -----

// The last block of k has 22 elements, known in the loop over blocks only: the atom's groups of 4 would be split.
// expected-error @+1 {{an atom takes neighbours along 'k', whose blocks must have a static size each}}
func.func private @kernel(%x: tensor<9x70xi8>, %w: tensor<32x70xi8>) -> tensor<9x32xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 9, 32, 70>},
    schedule = {atom = "int8_dot", cuts = [
      {memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}},
      {memory = "local", order = ["k"], sizes = array<i64: 24>, leaves = {result = {sums = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 3, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<9x70xi8>, tensor<32x70xi8>) -> tensor<9x32xi32>
  return %0 : tensor<9x32xi32>
}

// -----

// What a worker packs, nothing but an atom reads.
// expected-error @+1 {{rhs must enter 'local' in blocks as wide as a tile, [n/w][k/q][w][q], for an atom}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {cuts = [{memory = "local", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "register", order = ["n", "k"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Blocks of columns that are no tile's.
// expected-error @+1 {{rhs must enter 'local' in blocks as wide as a tile, [n/w][k/q][w][q], for an atom}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "local", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 8, 4>}}}}, {memory = "register", order = ["n", "k"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Sums are of all of a column.
// expected-error @+1 {{a worker packs rhs alone, along all of 'k', where 'n' and 'k' have static sizes}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "local", order = ["k"], sizes = array<i64: 4>, enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "register", order = ["n", "k"], sizes = array<i64: 16, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}

// -----

// Half a step, of what a worker packs.
// expected-error @+1 {{tile size 2 of 'k' must be a multiple of the 4 packed}}
func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
    schedule = {atom = "int8_dot", cuts = [{memory = "local", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}}, {memory = "register", order = ["n", "k"], sizes = array<i64: 16, 2>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}
