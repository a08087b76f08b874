// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// The argument's memory is updated, and given back. Workers share the columns; the points follow each other.
// CHECK-LABEL: func.func private @rows
// CHECK:         %[[X:.*]] = "loop.to_buffer"(%arg0)
// CHECK-NOT:     memref.alloc
// CHECK:         "loop.parallel"(%c2)
// CHECK:           %[[J:.*]] = arith.muli
// CHECK:           scf.for %[[I:.*]] = %c0 to %dim step %c1
// CHECK:             %[[INDEX:.*]] = memref.load %{{.*}}[%[[I]], %c0]
// CHECK:             %[[ROW:.*]] = arith.index_cast %[[INDEX]]
// CHECK:             %[[NEW:.*]] = "loop.load_tile"(%{{.*}}, %[[I]], %[[J]])
// CHECK:             %[[OLD:.*]] = "loop.load_tile"(%[[X]], %[[ROW]], %[[J]])
// CHECK:             %[[SUM:.*]] = arith.addf %[[OLD]], %[[NEW]] : vector<1x16xf32>
// CHECK:             "loop.store_tile"(%[[SUM]], %[[X]], %[[ROW]], %[[J]])
// CHECK:         "loop.to_tensor"(%[[X]])
func.func private @rows(%x: tensor<50x32xf32>, %i: tensor<?x1xi64>, %s: tensor<?x32xf32>) -> tensor<50x32xf32> {
  "kernel.schedule"() {generator = "scatter", iteration_space = {kinds = ["reduction", "parallel"], names = ["d0", "e0"], sizes = array<i64: -9223372036854775808, 32>}, schedule = {cuts = [
      {memory = "local", order = ["e0"], parallel = ["e0"], sizes = array<i64: 16>},
      {memory = "register", order = ["e0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.scatter"(%x, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<50x32xf32>, tensor<?x1xi64>, tensor<?x32xf32>) -> tensor<50x32xf32>
  return %0 : tensor<50x32xf32>
}
