// RUN: terrace-opt --convert-kernel-to-loop --canonicalize --cse --split-input-file %s | filecheck %s

// A tile is read along the dimensions that its own come from.
// CHECK-LABEL: func.func private @transposed
// CHECK:         scf.for %[[J:.*]] = %c0 to %c64 step %c16
// CHECK:           scf.for %[[I:.*]] = %c0 to %c32 step %c16
// CHECK:             %[[TILE:.*]] = "loop.load_tile"(%{{.*}}, %[[J]], %[[I]]) {dims = array<i64: 1, 0>, {{.*}}} : {{.*}} -> vector<16x16xf32>
// CHECK:             "loop.store_tile"(%[[TILE]], %{{.*}}, %[[I]], %[[J]]) {dims = array<i64: 0, 1>
func.func private @transposed(%x: tensor<64x32xf32>) -> tensor<32x64xf32> {
  "kernel.schedule"() {generator = "permute", iteration_space = {kinds = ["parallel", "parallel"], names = ["d0", "d1"], sizes = array<i64: 32, 64>}, schedule = {cuts = [
      {memory = "register", order = ["d1", "d0"], sizes = array<i64: 16, 16>}]}} : () -> ()
  %0 = "graph.permute"(%x) {permutation = array<i64: 1, 0>} : (tensor<64x32xf32>) -> tensor<32x64xf32>
  return %0 : tensor<32x64xf32>
}

// -----

// Elements stay as they are stored: no float is made of a bfloat16. Blocks are spread over workgroups.
// CHECK-LABEL: func.func private @rows
// CHECK:         "loop.parallel"(%c2)
// CHECK:           scf.for %[[J:.*]] = %c0 to %c3
// CHECK:             %[[ROW:.*]] = "loop.load_tile"(%{{.*}}, %[[J]], %[[I:.*]], %c0) {dims = array<i64: 2>, {{.*}}} : {{.*}} -> vector<8xbf16>
// CHECK-NEXT:        "loop.store_tile"(%[[ROW]], %{{.*}}, %[[I]], %[[J]], %c0) {dims = array<i64: 2>
func.func private @rows(%x: tensor<3x4x8xbf16>) -> tensor<4x3x8xbf16> {
  "kernel.schedule"() {generator = "permute", iteration_space = {kinds = ["parallel", "parallel", "parallel"], names = ["d0", "d1", "d2"], sizes = array<i64: 4, 3, 8>}, schedule = {cuts = [
      {memory = "local", order = ["d0"], parallel = ["d0"], sizes = array<i64: 2>},
      {memory = "register", order = ["d2"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.permute"(%x) {permutation = array<i64: 1, 0, 2>} : (tensor<3x4x8xbf16>) -> tensor<4x3x8xbf16>
  return %0 : tensor<4x3x8xbf16>
}
