// RUN: terrace-opt --verify-schedules --split-input-file --verify-diagnostics %s | filecheck %s

// What can be followed stays as it is; so does a kernel that has no schedule yet.
// CHECK-LABEL: func.func private @fits
// CHECK-NEXT:    "kernel.schedule"() {{.*}}memory = "register", order = ["d0"], sizes = array<i64: 8>
// CHECK-LABEL: func.func private @none
// CHECK-NEXT:    "kernel.schedule"() {{.*}} schedule = {}
func.func private @fits(%x: tensor<16xf32>) -> tensor<16xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 16>},
    schedule = {cuts = [{memory = "register", order = ["d0"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<16xf32>) -> tensor<16xf32>
  return %0 : tensor<16xf32>
}
func.func private @none(%x: tensor<16xf32>) -> tensor<16xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 16>},
    schedule = {}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<16xf32>) -> tensor<16xf32>
  return %0 : tensor<16xf32>
}

// -----

// A family that has no such operand.
// expected-error @+1 {{@kernel: elementwise has no operand 'x'; it has none that can be laid out}}
func.func private @kernel(%x: tensor<8xf32>) -> tensor<8xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 8>},
    schedule = {cuts = [{memory = "device", enters = {x = {pad = {low = array<i64: 0>, high = array<i64: 8>}}}}]}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// A copy that does not fit what the target gives a worker.
module attributes {terrace.target = {cpu = {local_bytes = 1024 : i64}, features = ["avx2", "fma"], name = "cpu", threads = 1 : i64}} {
  // expected-error @+1 {{@kernel needs 2048 bytes of local memory; a worker has 1024}}
  func.func private @kernel(%x: tensor<4x32xf32>, %w: tensor<32x16xf32>) -> tensor<4x16xf32> {
    "kernel.schedule"() {generator = "matmul", iteration_space = {
        names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 32>},
      schedule = {cuts = [
        {memory = "local", order = ["n"], sizes = array<i64: 16>, enters = {rhs = {copy = {}}}},
        {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
    %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x32xf32>, tensor<32x16xf32>) -> tensor<4x16xf32>
    return %0 : tensor<4x16xf32>
  }
}

// -----

// A step that the target's features do not make.
module attributes {terrace.target = {cpu = {}, features = ["avx512f"], name = "cpu", threads = 1 : i64}} {
  // expected-error @+1 {{@kernel: the machine has no atom 'int8_dot'; it has none}}
  func.func private @kernel(%x: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> tensor<4x16xi32> {
    "kernel.schedule"() {generator = "matmul", iteration_space = {
        names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 16, 8>},
      schedule = {atom = "int8_dot", cuts = [
        {memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}},
        {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 4>}]}} : () -> ()
    %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
    return %0 : tensor<4x16xi32>
  }
}
