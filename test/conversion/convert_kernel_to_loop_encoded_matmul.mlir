// RUN: terrace-opt --convert-kernel-to-loop --split-input-file %s | filecheck %s

// Rows and the negated sums of their groups in local memory; a panel of columns, of which 20 are stored: for each group
// the products by its codes, a zero point's multiple of the row's sum less, times the scale. Codes are asked for ahead.
// CHECK-LABEL: func.func private @few_rows
// CHECK-SAME:    %arg1: tensor<1x8x32x4xi8>, %arg2: tensor<1x2x32xbf16>, %arg3: tensor<1x2x32xbf16>
// CHECK-DAG:     %[[ROWS:.*]] = "loop.alloc"() : () -> memref<2x64xf32, "local">
// CHECK-DAG:     %[[SUMS:.*]] = "loop.alloc"() : () -> memref<2x2xf32, "local">
// CHECK:         "loop.reduce_tile"(%{{.*}}) {kind = "sum", {{.*}}} : (vector<1x32xf32>) -> vector<1x1xf32>
// CHECK:         scf.for %{{.*}} = %c0 to %c64 step %c32
// CHECK:           %[[PART:.*]] = scf.for %{{.*}} = %c0 to %c32 step %c8
// CHECK:             memref.prefetch %{{.*}}[%c0, %c0, %c0, %{{.*}}], read, locality<3>, data : memref<1x8x32x4xi8>
// CHECK:             %[[X:.*]] = "loop.load_tile"(%[[ROWS]]
// CHECK:             %[[CODES:.*]] = "loop.load_tile"(%{{.*}} -> vector<1x32x4xi8>
// CHECK:             %[[W:.*]] = "loop.unpack_tile"(%[[CODES]]) {bits = 4 : i64} : (vector<1x32x4xi8>) -> vector<8x32xf32>
// CHECK:             "loop.contract_tile"(%[[X]], %[[W]], %{{.*}})
// CHECK:           %[[SUM:.*]] = "loop.load_tile"(%[[SUMS]], {{.*}} -> vector<2x32xf32>
// CHECK:           %[[CENTRED:.*]] = math.fma %[[SUM]], %{{.*}}, %[[PART]]
// CHECK:           math.fma %[[CENTRED]], %{{.*}}, %{{.*}}
// CHECK:         "loop.store_tile"(%{{.*}}, %{{.*}}, %c0, %c0, %c2, %c20)
func.func private @few_rows(%x: tensor<2x64xf32>, %c: tensor<20x32xi8>, %s: tensor<20x2xbf16>, %z: tensor<20x2xbf16>) -> tensor<2x20xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 2, 20, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 32, 4>, outer_permutation = array<i64: 0, 1>}},
        scales = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}},
        zero_points = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 2>, enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["m", "n", "k"], sizes = array<i64: 2, 32, 8>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s, %z) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64, scale_bits = 16 : i64, zero_points = 1 : i64}}, transpose_rhs = true}
    : (tensor<2x64xf32>, tensor<20x32xi8>, tensor<20x2xbf16>, tensor<20x2xbf16>) -> tensor<2x20xf32>
  return %0 : tensor<2x20xf32>
}

// -----

// Columns in local memory, decoded and scaled, and a matmul of them.
// CHECK-LABEL: func.func private @many_rows
// CHECK:         %[[COLUMNS:.*]] = "loop.alloc"() : () -> memref<2x64x16xf32, "local">
// CHECK:         %[[CODES:.*]] = "loop.load_tile"(%{{.*}} -> vector<16x16xi8>
// CHECK:         %[[NUMBERS:.*]] = arith.sitofp %[[CODES]] : vector<16x16xi8> to vector<16x16xf32>
// CHECK:         %[[SCALED:.*]] = arith.mulf %[[NUMBERS]], %{{.*}} : vector<16x16xf32>
// CHECK:         "loop.store_tile"(%[[SCALED]], %[[COLUMNS]]
// CHECK:         "loop.load_tile"(%[[COLUMNS]]
// CHECK:         "loop.contract_tile"
func.func private @many_rows(%x: tensor<30x64xf32>, %c: tensor<64x32xi8>, %s: tensor<1x32xf32>) -> tensor<30x32xf32> {
  "kernel.schedule"() {generator = "encoded_matmul",
    iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 30, 32, 64>},
    schedule = {cuts = [
      {memory = "device", enters = {
        rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}},
        scales = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "local", enters = {rhs = {copy = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 6, 1>}]}} : () -> ()
  %0 = "graph.encoded_matmul"(%x, %c, %s) {encoding = {int8_groups = {axis = 0 : i64, group = 64 : i64}}, transpose_rhs = false}
    : (tensor<30x64xf32>, tensor<64x32xi8>, tensor<1x32xf32>) -> tensor<30x32xf32>
  return %0 : tensor<30x32xf32>
}
