// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// The first places of a row: a list of three, and tiles that are looked into where an element precedes its last.
// CHECK-LABEL: func.func private @first
// CHECK:         %[[KEYS:.*]] = "loop.alloc"() : () -> memref<3xi32, "local">
// CHECK-NEXT:    %[[PLACES:.*]] = "loop.alloc"() : () -> memref<3xi32, "local">
// CHECK:         scf.for %{{.*}} = %c0 to %c96 step %c32
// CHECK:           %[[LIMIT:.*]] = "loop.load_tile"(%[[KEYS]], %c2) {dims = array<i64: -1, -1>
// CHECK:           %[[PRECEDE:.*]] = arith.cmpi slt, %{{.*}}, %[[LIMIT]] : vector<1x32xi32>
// CHECK:           %[[ANY:.*]] = "loop.any_tile"(%[[PRECEDE]])
// CHECK:           scf.if %[[ANY]]
// CHECK:         %[[WIDE:.*]] = arith.extsi %{{.*}} : i32 to i64
// CHECK-NEXT:    memref.store %[[WIDE]], %{{.*}} : memref<4x3xi64>
func.func private @first(%x: tensor<4x99xf32>) -> tensor<4x3xi64> {
  "kernel.schedule"() {generator = "sort", iteration_space = {kinds = ["parallel", "reduction", "reduction"], names = ["m", "n", "c"], sizes = array<i64: 4, 99, 3>}, schedule = {cuts = [
      {memory = "register", order = ["n"], sizes = array<i64: 32>}]}} : () -> ()
  %0 = "graph.topk"(%x) {axis = 1 : i64, count = 3 : i64, descending = true} : (tensor<4x99xf32>) -> tensor<4x3xi64>
  return %0 : tensor<4x3xi64>
}

// -----

// All places of a line by its four digits: counted, added up, and moved three times, then to the result.
// CHECK-LABEL: func.func private @whole
// CHECK:         %[[COUNTS:.*]] = "loop.alloc"() : () -> memref<4x256xi32, "local">
// CHECK:         "loop.scan_tile"(%{{.*}}) {kind = "sum"} : (vector<1x32xi32>)
// CHECK-COUNT-3: memref.store {{.*}} : memref<50xi32, "local">
// CHECK:         memref.store {{.*}} : memref<1x50x3xi64>
// CHECK-NOT:     loop.any_tile
func.func private @whole(%x: tensor<1x50x3xi16>) -> tensor<1x50x3xi64> {
  "kernel.schedule"() {generator = "sort", iteration_space = {kinds = ["parallel", "reduction", "parallel"], names = ["m", "n", "l"], sizes = array<i64: 1, 50, 3>}, schedule = {cuts = []}} : () -> ()
  %0 = "graph.argsort"(%x) {axis = 1 : i64, descending = false} : (tensor<1x50x3xi16>) -> tensor<1x50x3xi64>
  return %0 : tensor<1x50x3xi64>
}
