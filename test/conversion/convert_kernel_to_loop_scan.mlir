// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// A row tile after tile; sums of float32 are made in float64, and rounded where they are stored. What is behind the last
// full tile is narrower.
// CHECK-LABEL: func.func private @rows
// CHECK:         %[[SO_FAR:.*]] = scf.for %[[J:.*]] = %c0 to %c16 step %c8 iter_args(%[[BEFORE:.*]] = %{{.*}}) -> (vector<1x1xf64>)
// CHECK:           %[[X:.*]] = arith.extf %{{.*}} : vector<1x8xf32> to vector<1x8xf64>
// CHECK:           %[[OWN:.*]]:2 = "loop.scan_tile"(%[[X]]) {kind = "sum"}
// CHECK:           %[[ALL:.*]] = "loop.broadcast_tile"(%[[BEFORE]])
// CHECK:           %[[SUM:.*]] = arith.addf %[[ALL]], %[[OWN]]#0
// CHECK:           %[[NEXT:.*]] = arith.addf %[[BEFORE]], %[[OWN]]#1
// CHECK:           %[[ROUNDED:.*]] = arith.truncf %[[SUM]]
// CHECK:           "loop.store_tile"(%[[ROUNDED]]
// CHECK:           scf.yield %[[NEXT]]
// CHECK:         "loop.scan_tile"(%{{.*}}) {kind = "sum"} : (vector<1x3xf64>)
// CHECK:         "loop.broadcast_tile"(%[[SO_FAR]])
func.func private @rows(%x: tensor<4x19xf32>) -> tensor<4x19xf32> {
  "kernel.schedule"() {generator = "scan", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 4, 19>}, schedule = {cuts = [
      {memory = "register", order = ["n"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.scan"(%x) {axis = 1 : i64, kind = "sum"} : (tensor<4x19xf32>) -> tensor<4x19xf32>
  return %0 : tensor<4x19xf32>
}

// -----

// Lines that are no rows: vectors across them, and the last place of the extreme so far with it.
// CHECK-LABEL: func.func private @lines
// CHECK:         scf.for %[[N:.*]] = %c0 to %{{.*}} step %c1 iter_args(%[[BEST:.*]] = %{{.*}}, %[[LAST:.*]] = %{{.*}}) -> (vector<1x8xi32>, vector<1x8xi64>)
// CHECK:           %[[X:.*]] = "loop.load_tile"
// CHECK:           %[[NEW:.*]] = arith.minsi %[[BEST]], %[[X]]
// CHECK:           %[[HERE:.*]] = vector.broadcast
// CHECK:           %[[IS:.*]] = arith.cmpi eq, %[[X]], %[[NEW]]
// CHECK:           %[[PLACE:.*]] = arith.select %[[IS]], %[[HERE]], %[[LAST]]
// CHECK:           "loop.store_tile"(%[[PLACE]]
// CHECK:           scf.yield %[[NEW]], %[[PLACE]]
func.func private @lines(%x: tensor<1x?x8xi32>, %n: index) -> tensor<1x?x8xi64> {
  "kernel.schedule"() {generator = "scan", iteration_space = {kinds = ["parallel", "reduction", "parallel"], names = ["m", "n", "l"], sizes = array<i64: 1, -9223372036854775808, 8>}, schedule = {cuts = [
      {memory = "register", order = ["l"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.arg_scan"(%x) {axis = 1 : i64, kind = "min"} : (tensor<1x?x8xi32>) -> tensor<1x?x8xi64>
  return %0 : tensor<1x?x8xi64>
}
