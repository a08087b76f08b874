// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=copy,elementwise,gather,scatter views=true},simplify-graph)' %s | filecheck %s

// An update that reads what it updates, or a computed tensor that is read elsewhere, too, has a copy made before. A copy
// stays one when the graph is simplified.
// CHECK-LABEL: func.func @copied_first
// CHECK:         %[[OWN:.*]] = call @broadcast_48(%{{.*}}) : (tensor<48xf32>) -> tensor<48xf32>
// CHECK:         %[[COPY:.*]] = "graph.reshape"(%[[OWN]])
// CHECK:         call @scatter_8x6(%[[COPY]], %arg1
// CHECK:         %[[SUM:.*]] = "graph.reshape"{{.*}} -> tensor<8x6xf32>
// CHECK:         call @broadcast_48
// CHECK:         call @scatter_8x6
func.func @copied_first(%x: tensor<8x6xf32>, %i: tensor<3x1xi64>, %y: tensor<3x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>) {
  %0 = "graph.slice"(%x) {starts = array<i64: 0, 0>, stops = array<i64: 3, 6>, steps = array<i64: 1, 1>} : (tensor<8x6xf32>) -> tensor<3x6xf32>
  %1 = "graph.scatter"(%x, %i, %0) {axis = 0 : i64, kind = "sum"} : (tensor<8x6xf32>, tensor<3x1xi64>, tensor<3x6xf32>) -> tensor<8x6xf32>
  %2 = "graph.add"(%x, %x) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %3 = "graph.scatter"(%2, %i, %y) {axis = 0 : i64, kind = "sum"} : (tensor<8x6xf32>, tensor<3x1xi64>, tensor<3x6xf32>) -> tensor<8x6xf32>
  return %1, %2, %3 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
}

// What the update waits for has read it by then, and it is updated in place: elements that are kept where a check fails.
// CHECK-LABEL: func.func @read_before
// CHECK-NOT:     @broadcast
// CHECK:         call @gather_3x6
// CHECK-NOT:     @broadcast
// CHECK:         call @scatter_8x6
func.func @read_before(%x: tensor<8x6xf32>, %i: tensor<3x1xi64>) -> tensor<8x6xf32> {
  %0 = "graph.add"(%x, %x) : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %1 = "graph.gather"(%0, %i) {axis = 0 : i64} : (tensor<8x6xf32>, tensor<3x1xi64>) -> tensor<3x6xf32>
  %2 = "graph.scatter"(%0, %i, %1) {axis = 0 : i64, kind = "replace"} : (tensor<8x6xf32>, tensor<3x1xi64>, tensor<3x6xf32>) -> tensor<8x6xf32>
  return %2 : tensor<8x6xf32>
}
