// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s
// RUN: terrace-opt %s | filecheck %s --check-prefix=TEXT

// k is cut for local memory, which keeps the sums of a block of 4x8 tiles: they begin at zero, take what each block of k
// adds, whose columns are copied first, and go through the epilogue once they are whole.

// TEXT: leaves = {result = {sums = {}}}, memory = "local", order = ["m", "n", "k"]

// CHECK-LABEL: func.func private @matmul
// CHECK:         "loop.parallel"(%c2
// CHECK:           %[[SUMS:.*]] = "loop.alloc"() : () -> memref<8x16xf32, "local">
// CHECK:           %[[COLUMNS:.*]] = "loop.alloc"() : () -> memref<2x512x8xf32, "local">
// CHECK:           "loop.store_tile"(%cst{{.*}}, %[[SUMS]]
// CHECK:           scf.for %[[K:.*]] = %c0 to %c1024 step %c512
// CHECK:             "loop.store_tile"({{.*}}, %[[COLUMNS]]
// CHECK:             %[[BEFORE:.*]] = "loop.load_tile"(%[[SUMS]]
// CHECK:             %[[ADDED:.*]] = scf.for %{{.*}} = %c0 to %c512 step %c1 iter_args(%{{.*}} = %cst
// CHECK:               "loop.load_tile"(%[[COLUMNS]]
// CHECK:               "loop.contract_tile"
// CHECK:             %[[AFTER:.*]] = arith.addf %[[BEFORE]], %[[ADDED]]
// CHECK:             "loop.store_tile"(%[[AFTER]], %[[SUMS]]
// CHECK:           %[[WHOLE:.*]] = "loop.load_tile"(%[[SUMS]]
// CHECK:           math.exp %[[WHOLE]]
func.func private @matmul(%x: tensor<16x1024xf32>, %y: tensor<1024x16xf32>) -> tensor<16x16xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 16, 16, 1024>},
    schedule = {cuts = [
      {memory = "local", order = ["m", "n", "k"], sizes = array<i64: 8, 16, 512>, parallel = ["m", "n"],
       enters = {rhs = {copy = {}}}, leaves = {result = {sums = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 8, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<16x1024xf32>, tensor<1024x16xf32>) -> tensor<16x16xf32>
  %1 = "graph.exp"(%0) : (tensor<16x16xf32>) -> tensor<16x16xf32>
  return %1 : tensor<16x16xf32>
}

// k is cut, and nothing enters local memory: blocks are summed, and what rounding loses between them is carried along.
// What is left of k is the last block.
// CHECK-LABEL: func.func private @few_results
// CHECK-NOT:     loop.alloc
// CHECK:           %[[SUMS:.*]]:2 = scf.for %{{.*}} = %c0 to %c128 step %c64 iter_args(%[[TOTAL:.*]] = %cst, %[[LOST:.*]] = %cst
// CHECK:             %[[BLOCK:.*]] = scf.for %{{.*}} = %c0 to %c64 step %c1 iter_args(%{{.*}} = %cst
// CHECK:               "loop.contract_tile"
// CHECK:             %[[PART:.*]] = arith.subf %[[BLOCK]], %[[LOST]]
// CHECK:             %[[SUM:.*]] = arith.addf %[[TOTAL]], %[[PART]]
// CHECK:             %[[KEPT:.*]] = arith.subf %[[SUM]], %[[TOTAL]]
// CHECK:             arith.subf %[[KEPT]], %[[PART]]
// CHECK:           scf.for %{{.*}} = %c0 to %c32 step %c1
// CHECK:           arith.subf %{{.*}}, %[[SUMS]]#1
func.func private @few_results(%x: tensor<4x160xf32>, %y: tensor<160x8xf32>) -> tensor<4x8xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 8, 160>},
    schedule = {cuts = [
      {memory = "local", order = ["k"], sizes = array<i64: 64>},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 8, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<4x160xf32>, tensor<160x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}
