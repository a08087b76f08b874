// RUN: terrace-opt --convert-kernel-to-loop --split-input-file --verify-diagnostics %s

// Schedules that were edited to what the generator cannot follow.
// expected-error @+1 {{'rhs' must enter 'device' in blocks of columns, [n/w][k/8][w][4], of one width w}}
func.func private @f(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xf32>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 2>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 2>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 32, 8>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// expected-error @+1 {{tile size 16 of 'n' must be the 32 columns of a block}}
func.func private @f(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xf32>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 4>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 2>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 16, 8>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// expected-error @+1 {{tile size 4 of 'k' must be a multiple of 8 that divides 16}}
func.func private @f(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xf32>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 4>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 2>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 32, 4>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// expected-error @+1 {{lhs must enter 'local', in blocks of as many rows as a tile has}}
func.func private @f(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xf32>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 4>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 4>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 32, 8>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// expected-error @+1 {{the atom 'bf16_dot' multiplies bf16 by codes of 4 bits}}
func.func private @f(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xf32>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {atom = "bf16_dot", cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 4>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 2>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 32, 8>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xf32>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// expected-error @+1 {{a block of 'k' must be a multiple of 16, got 8}}
func.func private @f(%x: tensor<30x64xf32>, %c: tensor<64x32xi8>, %s: tensor<1x32xf32>) -> tensor<30x32xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 30, 32, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}},
        scales = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "local", order = ["n", "m", "k"], sizes = array<i64: 16, 30, 8>, enters = {rhs = {copy = {}}}, leaves = {result = {sums = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 6, 1>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int8_groups = {axis = 0 : i64, group = 64 : i64}}, transpose_rhs = false}
    : (tensor<30x64xf32>, tensor<64x32xi8>, tensor<1x32xf32>) -> tensor<30x32xf32>
  return %0 : tensor<30x32xf32>
}
