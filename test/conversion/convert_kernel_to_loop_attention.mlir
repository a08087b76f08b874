// RUN: terrace-opt --convert-kernel-to-loop --split-input-file %s | filecheck %s

// Queries become columns in local memory, times the scale; scores are products of keys as they lie in memory. All keys
// are one block: nothing is scaled down.
// CHECK-LABEL: func.func private @one_block
// CHECK-DAG:     %[[Q:.*]] = "loop.to_buffer"(%arg0)
// CHECK-DAG:     %[[K:.*]] = "loop.to_buffer"(%arg1)
// CHECK-DAG:     %[[V:.*]] = "loop.to_buffer"(%arg2)
// CHECK:         "loop.parallel"
// CHECK:           %[[COLUMNS:.*]] = "loop.alloc"() : () -> memref<4x16xf32, "local">
// CHECK:           %[[SCORES:.*]] = "loop.alloc"() : () -> memref<24x16xf32, "local">
// CHECK:           "loop.load_tile"(%[[Q]], {{.*}}) {dims = array<i64: 2, 1>, {{.*}} -> vector<4x16xf32>
// CHECK:           arith.mulf
// CHECK:           "loop.store_tile"({{.*}}, %[[COLUMNS]], {{.*}}
// CHECK:           "loop.load_tile"(%[[K]], {{.*}}) {dims = array<i64: 1, 2>, {{.*}} -> vector<6x1xf32>
// CHECK:           "loop.load_tile"(%[[COLUMNS]], {{.*}} -> vector<1x16xf32>
// CHECK-NEXT:      "loop.contract_tile"
// CHECK-NOT:       loop.index_tile
// CHECK:           "loop.store_tile"({{.*}}, %[[SCORES]], {{.*}}
// CHECK:           arith.cmpf ogt
// CHECK:           math.exp
// CHECK-NOT:       math.exp
// CHECK:           arith.divf
// CHECK:           "loop.load_tile"(%[[V]], {{.*}}) {dims = array<i64: 2, 1>, {{.*}} -> vector<5x1xf32>
// CHECK:           "loop.store_tile"({{.*}} {dims = array<i64: 2, 1>, {{.*}} : (vector<5x16xf32>, memref<2x32x5xf32>
func.func private @one_block(%q: tensor<2x32x4xf32>, %k: tensor<2x24x4xf32>, %v: tensor<2x24x5xf32>) -> tensor<2x32x5xf32> {
  "kernel.schedule"() {generator = "attention",
    iteration_space = {names = ["b", "m", "n", "s", "e"], kinds = ["parallel", "parallel", "parallel", "reduction", "reduction"], sizes = array<i64: 2, 32, 5, 24, 4>},
    schedule = {cuts = [{enters = {query = {copy = {}}}, memory = "local", order = ["b", "m"], parallel = ["b", "m"], sizes = array<i64: 1, 16>}, {memory = "register", order = ["m", "n", "s"], sizes = array<i64: 16, 5, 6>}]}} : () -> ()
  %0 = "graph.attention"(%q, %k, %v) {scale = 0.5 : f64, is_causal = false}
    : (tensor<2x32x4xf32>, tensor<2x24x4xf32>, tensor<2x24x5xf32>) -> tensor<2x32x5xf32>
  return %0 : tensor<2x32x5xf32>
}

// -----

// Blocks of keys: the result so far is in local memory, and is scaled down. Causal: keys are seen up to the last query,
// and hidden by their positions. Heads in groups read the keys of their group.
// CHECK-LABEL: func.func private @blocks
// CHECK-DAG:     %[[K:.*]] = "loop.to_buffer"(%arg1)
// CHECK:         "loop.parallel"(%{{.*}}) ({
// CHECK:         ^bb0(%[[GROUP:.*]]: index):
// CHECK:           scf.for
// CHECK:             "loop.alloc"() : () -> memref<5x16xf32, "local">
// CHECK:             scf.for %[[FIRST:.*]] = %c0 to %c32 step %c16
// CHECK:               %[[LAST:.*]] = arith.addi %[[FIRST]], %c16
// CHECK:               arith.minui %c24, %[[LAST]]
// CHECK:               scf.for {{.*}} step %c12 iter_args
// CHECK:                 "loop.load_tile"(%[[K]], %[[GROUP]]
// CHECK:                 %[[KEY:.*]] = "loop.index_tile"(%{{.*}}) {dim = 0 : i64} : (index) -> vector<6x16xi32>
// CHECK:                 %[[QUERY:.*]] = "loop.index_tile"(%[[FIRST]]) {dim = 1 : i64}
// CHECK:                 %[[HIDDEN:.*]] = arith.cmpi sgt, %[[KEY]], %[[QUERY]]
// CHECK:                 arith.select %[[HIDDEN]]
// CHECK:                 math.exp
// CHECK:                 math.exp
func.func private @blocks(%q: tensor<4x32x4xf32>, %k: tensor<2x24x4xf32>, %v: tensor<2x24x5xf32>) -> tensor<4x32x5xf32> {
  "kernel.schedule"() {generator = "attention",
    iteration_space = {names = ["g", "r", "m", "n", "s", "e"], kinds = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"], sizes = array<i64: 2, 2, 32, 5, 24, 4>},
    schedule = {cuts = [{enters = {query = {copy = {}}}, memory = "local", order = ["g", "s"], parallel = ["g"], sizes = array<i64: 1, 12>}, {memory = "register", order = ["m", "n", "s"], sizes = array<i64: 16, 5, 6>}]}} : () -> ()
  %0 = "graph.attention"(%q, %k, %v) {scale = 0.5 : f64, is_causal = true}
    : (tensor<4x32x4xf32>, tensor<2x24x4xf32>, tensor<2x24x5xf32>) -> tensor<4x32x5xf32>
  return %0 : tensor<4x32x5xf32>
}
