// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// A slice starts inside, and moves by its step.
// CHECK-LABEL: func.func private @slice
// CHECK:         "loop.load_tile"(%{{.*}}, %c1) {dims = array<i64: 0>, {{.*}}strides = array<i64: 2>} : {{.*}} -> vector<3xf32>
func.func private @slice(%x: tensor<8xf32>) -> tensor<3xf32> {
  "kernel.schedule"() {generator = "copy", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 3>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 3>}]}} : () -> ()
  %0 = "graph.slice"(%x) {starts = array<i64: 1>, stops = array<i64: 7>, steps = array<i64: 2>} : (tensor<8xf32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----

// A concat has two pieces; the second is written behind the first.
// CHECK-LABEL: func.func private @concat
// CHECK:         "loop.store_tile"(%{{.*}}, %[[OUT:.*]], %c0)
// CHECK:         "loop.store_tile"(%{{.*}}, %[[OUT]], %c2)
func.func private @concat(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<4xf32> {
  "kernel.schedule"() {generator = "copy", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 4>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.concat"(%x, %y) {axis = 0 : i64} : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A pad is the input inside slabs of the number.
// CHECK-LABEL: func.func private @pad
// CHECK:         %[[NUMBER:.*]] = arith.constant dense<2.500000e+00> : vector<3xf32>
// CHECK:         %[[X:.*]] = "loop.load_tile"
// CHECK:         "loop.store_tile"(%[[X]], %[[OUT:.*]], %c3)
// CHECK:         "loop.store_tile"(%[[NUMBER]], %[[OUT]], %c0)
func.func private @pad(%x: tensor<4xf32>) -> tensor<7xf32> {
  "kernel.schedule"() {generator = "copy", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 7>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.pad"(%x) {high = array<i64: 0>, low = array<i64: 3>, value = 2.5 : f32} : (tensor<4xf32>) -> tensor<7xf32>
  return %0 : tensor<7xf32>
}

// -----

// A broadcast repeats along dimensions that its input lacks, or has only one of.
// CHECK-LABEL: func.func private @broadcast
// CHECK:         "loop.load_tile"(%{{.*}}, %[[I:.*]], %c0) {dims = array<i64: -1, 0, -1>
// CHECK:         "loop.store_tile"(%{{.*}}, %{{.*}}, %{{.*}}, %[[I]], %c0)
func.func private @broadcast(%x: tensor<3x1xf32>) -> tensor<2x3x4xf32> {
  "kernel.schedule"() {generator = "copy", iteration_space = {kinds = ["parallel", "parallel", "parallel"], names = ["d0", "d1", "d2"], sizes = array<i64: 2, 3, 4>}, schedule = {cuts = [
      {memory = "register", order = ["d2"], sizes = array<i64: 4>}]}} : () -> ()
  %0 = "graph.broadcast"(%x) : (tensor<3x1xf32>) -> tensor<2x3x4xf32>
  return %0 : tensor<2x3x4xf32>
}
