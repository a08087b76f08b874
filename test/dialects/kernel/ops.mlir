// RUN: terrace-opt %s | terrace-opt | filecheck %s

// A kernel before and after scheduling; operands are padded, packed and copied.
// CHECK-LABEL: func.func private @unscheduled
// CHECK-NEXT:    "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"],
// CHECK-SAME:      names = ["d0"], sizes = array<i64: -9223372036854775808>}, schedule = {}} : () -> ()
func.func private @unscheduled(%x: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  "kernel.schedule"() {generator = "elementwise", schedule = {}, iteration_space = {
    names = ["d0"], kinds = ["parallel"], sizes = array<i64: -9223372036854775808>}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func private @scheduled
// CHECK-NEXT:    "kernel.schedule"() {generator = "matmul"
// CHECK-SAME:      schedule = {cuts = [
// CHECK-SAME:        {enters = {lhs = {pad = {high = array<i64: 0, 0>, low = array<i64: 0, 0>}}, rhs = {pack =
// CHECK-SAME:          {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}}},
// CHECK-SAME:         memory = "device"},
// CHECK-SAME:        {enters = {lhs = {copy = {}}}, memory = "local", order = ["m"], parallel = ["m"], sizes = array<i64: 8>},
// CHECK-SAME:        {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}}
func.func private @scheduled(%x: tensor<16x8xf32>, %y: tensor<8x32xf32>) -> tensor<16x32xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 16, 32, 8>},
    schedule = {cuts = [
      {memory = "device", enters = {lhs = {pad = {high = array<i64: 0, 0>, low = array<i64: 0, 0>}}, rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "local", order = ["m"], sizes = array<i64: 8>, parallel = ["m"], enters = {lhs = {copy = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<16x8xf32>, tensor<8x32xf32>) -> tensor<16x32xf32>
  return %0 : tensor<16x32xf32>
}
