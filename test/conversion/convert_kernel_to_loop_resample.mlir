// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// Runs behind the axis: a place and a weight are read for each term, and a run of the input is weighed by it.
// CHECK-LABEL: func.func private @runs
// CHECK:         scf.for %[[J:.*]] = %
// CHECK:           %[[WEIGHT:.*]] = memref.load %{{.*}}[%[[J]], %c0] : memref<?x2xf32>
// CHECK:           %[[INDEX:.*]] = memref.load %{{.*}}[%[[J]], %c0] : memref<?x2xi64>
// CHECK:           %[[PLACE:.*]] = arith.index_cast %[[INDEX]]
// CHECK:           %[[TERM:.*]] = "loop.load_tile"(%{{.*}}, %[[PLACE]], %c0) {dims = array<i64: -1, 1>, {{.*}}} : {{.*}} -> vector<1x16xf32>
// CHECK:           %[[SPREAD:.*]] = vector.broadcast %[[WEIGHT]]
// CHECK:           %[[FIRST:.*]] = arith.mulf %[[TERM]], %[[SPREAD]]
// CHECK:           %[[SUM:.*]] = math.fma %{{.*}}, %{{.*}}, %[[FIRST]]
// CHECK:           "loop.store_tile"(%[[SUM]], %{{.*}}, %[[J]], %c0)
func.func private @runs(%x: tensor<50x16xf32>, %i: tensor<?x2xi64>, %w: tensor<?x2xf32>, %n: index) -> tensor<?x16xf32> {
  "kernel.schedule"() {generator = "resample", iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["d0", "e0", "t"], sizes = array<i64: -9223372036854775808, 16, 2>}, schedule = {cuts = [
      {memory = "register", order = ["e0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.resample"(%x, %i, %w) {axis = 0 : i64} : (tensor<50x16xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----

// Lines along the last axis: a tile of them is laid out transposed, and sums go back transposed. The last columns begin
// within those before.
// CHECK-LABEL: func.func private @lines
// CHECK:         %[[COLUMNS:.*]] = "loop.alloc"() : () -> memref<20x16xf32, "local">
// CHECK:         %[[SUMS:.*]] = "loop.alloc"() : () -> memref<16x16xf32, "local">
// CHECK:         %[[AT:.*]] = arith.minui %{{.*}}, %c4
// CHECK:         %[[READ:.*]] = "loop.load_tile"(%{{.*}}, %{{.*}}, %[[AT]]) {dims = array<i64: 1, 0>
// CHECK:         "loop.store_tile"(%[[READ]], %[[COLUMNS]], %[[AT]], %c0)
// CHECK:         "loop.load_tile"(%[[COLUMNS]], %{{.*}}, %c0) {{.*}} -> vector<1x16xf32>
// CHECK:         %[[SUM:.*]] = "loop.load_tile"(%[[SUMS]], %c0, %c0)
// CHECK:         "loop.store_tile"(%[[SUM]], {{.*}}) {dims = array<i64: 1, 0>
func.func private @lines(%x: tensor<64x20xf32>, %i: tensor<40x2xi64>, %w: tensor<40x2xf32>) -> tensor<64x40xf32> {
  "kernel.schedule"() {generator = "resample", iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["d0", "e0", "t"], sizes = array<i64: 64, 40, 2>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.resample"(%x, %i, %w) {axis = 1 : i64} : (tensor<64x20xf32>, tensor<40x2xi64>, tensor<40x2xf32>) -> tensor<64x40xf32>
  return %0 : tensor<64x40xf32>
}

// -----

// A border: where a row comes from is computed once, its middle is a vector, and single elements stand beside it.
// CHECK-LABEL: func.func private @border
// CHECK:         %[[ROW:.*]] = arith.minui
// CHECK:         %[[MIDDLE:.*]] = "loop.load_tile"(%{{.*}}, %{{.*}}, %[[ROW]], %c0) {{.*}} -> vector<1x1x6xi8>
// CHECK:         "loop.store_tile"(%[[MIDDLE]], %{{.*}}, %{{.*}}, %{{.*}}, %c1)
// CHECK:         "loop.load_tile"(%{{.*}}, %{{.*}}, %[[ROW]], %c1) {{.*}} -> vector<1x1x1xi8>
func.func private @border(%x: tensor<3x4x6xi8>) -> tensor<3x6x7xi8> {
  "kernel.schedule"() {generator = "copy", iteration_space = {kinds = ["parallel", "parallel", "parallel"], names = ["d0", "e0", "f0"], sizes = array<i64: 3, 6, 7>}, schedule = {cuts = [
      {memory = "register", order = ["f0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.border_pad"(%x) {low = array<i64: 0, 1, 1>, high = array<i64: 0, 1, 0>, mode = "reflect"} : (tensor<3x4x6xi8>) -> tensor<3x6x7xi8>
  return %0 : tensor<3x6x7xi8>
}
