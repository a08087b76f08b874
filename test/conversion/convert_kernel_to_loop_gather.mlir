// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// An index is read for each row, and the row in vectors; elements stay as they are stored.
// CHECK-LABEL: func.func private @rows
// CHECK:         "loop.parallel"(%c2)
// CHECK:           scf.for %[[I:.*]] = %
// CHECK:             %[[INDEX:.*]] = memref.load %{{.*}}[%[[I]], %c0] : memref<8x1xi32>
// CHECK:             %[[ROW:.*]] = arith.index_cast %[[INDEX]] : i32 to index
// CHECK:             %[[TILE:.*]] = "loop.load_tile"(%{{.*}}, %[[ROW]], %c0) {dims = array<i64: -1, 1>, {{.*}}} : {{.*}} -> vector<1x16xbf16>
// CHECK:             "loop.store_tile"(%[[TILE]], %{{.*}}, %[[I]], %c0)
func.func private @rows(%x: tensor<50x16xbf16>, %i: tensor<8x1xi32>) -> tensor<8x16xbf16> {
  "kernel.schedule"() {generator = "gather", iteration_space = {kinds = ["parallel", "parallel"], names = ["d0", "e0"], sizes = array<i64: 8, 16>}, schedule = {cuts = [
      {memory = "local", order = ["d0"], parallel = ["d0"], sizes = array<i64: 4>},
      {memory = "register", order = ["e0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.gather"(%x, %i) {axis = 0 : i64} : (tensor<50x16xbf16>, tensor<8x1xi32>) -> tensor<8x16xbf16>
  return %0 : tensor<8x16xbf16>
}

// -----

// Elements with indices of their own, of any number.
// CHECK-LABEL: func.func private @elements
// CHECK:         %[[INDEX:.*]] = memref.load %{{.*}}[%[[I:.*]], %[[J:.*]]] : memref<?x?xi64>
// CHECK:         %[[AT:.*]] = arith.index_cast %[[INDEX]]
// CHECK:         "loop.load_tile"(%{{.*}}, %[[I]], %[[AT]]) {dims = array<i64: 0, -1>, {{.*}}} : {{.*}} -> vector<1x1xf32>
func.func private @elements(%x: tensor<?x?xf32>, %i: tensor<?x?xi64>, %m: index, %n: index) -> tensor<?x?xf32> {
  "kernel.schedule"() {generator = "gather", iteration_space = {kinds = ["parallel", "parallel"], names = ["d0", "e0"], sizes = array<i64: -9223372036854775808, -9223372036854775808>}, schedule = {cuts = [
      {memory = "register", order = ["e0"], sizes = array<i64: 1>}]}} : () -> ()
  %0 = "graph.gather"(%x, %i) {axis = 1 : i64} : (tensor<?x?xf32>, tensor<?x?xi64>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
