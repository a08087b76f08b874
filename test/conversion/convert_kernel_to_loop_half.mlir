// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s

// Half precisions are computed in f32: loads widen, the sum and what follows it are f32, the store rounds. Packed
// weights stay as they are.
// CHECK-LABEL: func.func private @matmul
// CHECK-SAME:    %arg1: tensor<1x6x16xbf16>
// CHECK:         %[[X:.*]] = "loop.load_tile"({{.*}}) {{.*}} -> vector<4x1xbf16>
// CHECK:         arith.extf %[[X]] : vector<4x1xbf16> to vector<4x1xf32>
// CHECK:         %[[W:.*]] = "loop.load_tile"({{.*}}) {{.*}} -> vector<1x16xbf16>
// CHECK:         arith.extf %[[W]] : vector<1x16xbf16> to vector<1x16xf32>
// CHECK:         "loop.contract_tile"({{.*}}) : (vector<4x1xf32>, vector<1x16xf32>, vector<4x16xf32>) -> vector<4x16xf32>
// CHECK:         %[[Y:.*]] = arith.addf {{.*}} : vector<4x16xf32>
// CHECK:         %[[ROUNDED:.*]] = arith.truncf %[[Y]] : vector<4x16xf32> to vector<4x16xbf16>
// CHECK:         "loop.store_tile"(%[[ROUNDED]]
func.func private @matmul(%x: tensor<4x6xbf16>, %w: tensor<16x6xbf16>, %b: tensor<1x16xbf16>) -> tensor<4x16xbf16> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 4, 16, 6>}, schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 1>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x6xbf16>, tensor<16x6xbf16>) -> tensor<4x16xbf16>
  %1 = "graph.add"(%0, %b) : (tensor<4x16xbf16>, tensor<1x16xbf16>) -> tensor<4x16xbf16>
  return %1 : tensor<4x16xbf16>
}

// A sum is rounded before it is compared, and where a cast asks for it, but not before the product.
// CHECK-LABEL: func.func private @jumps
// CHECK:         %[[SUM:.*]] = arith.addf
// CHECK:         %[[STORED:.*]] = arith.truncf %[[SUM]] : vector<8xf32> to vector<8xf16>
// CHECK:         %[[SEEN:.*]] = arith.extf %[[STORED]]
// CHECK:         arith.cmpf olt, %[[SEEN]]
// CHECK:         arith.mulf %[[SUM]]
func.func private @jumps(%x: tensor<8xf16>, %y: tensor<8xf16>) -> tensor<8xf16> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 8>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.add"(%x, %y) : (tensor<8xf16>, tensor<8xf16>) -> tensor<8xf16>
  %1 = "graph.compare"(%0, %y) {predicate = "lt"} : (tensor<8xf16>, tensor<8xf16>) -> tensor<8xi1>
  %2 = "graph.mul"(%0, %y) : (tensor<8xf16>, tensor<8xf16>) -> tensor<8xf16>
  %3 = "graph.select"(%1, %2, %y) : (tensor<8xi1>, tensor<8xf16>, tensor<8xf16>) -> tensor<8xf16>
  return %3 : tensor<8xf16>
}
