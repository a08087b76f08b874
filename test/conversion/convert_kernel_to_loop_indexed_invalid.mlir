// RUN: terrace-opt --convert-kernel-to-loop --split-input-file --verify-diagnostics %s

// Two points of the axis may meet in one element.
// expected-error @+1 {{'d0' must not be cut for 'local', as scatter does not cut it}}
func.func private @points(%x: tensor<50x32xf32>, %i: tensor<8x1xi64>, %s: tensor<8x32xf32>) -> tensor<50x32xf32> {
  "kernel.schedule"() {generator = "scatter", iteration_space = {kinds = ["reduction", "parallel"], names = ["d0", "e0"], sizes = array<i64: 8, 32>}, schedule = {cuts = [
      {memory = "local", order = ["d0"], sizes = array<i64: 4>},
      {memory = "register", order = ["e0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.scatter"(%x, %i, %s) {axis = 0 : i64, kind = "sum"} : (tensor<50x32xf32>, tensor<8x1xi64>, tensor<8x32xf32>) -> tensor<50x32xf32>
  return %0 : tensor<50x32xf32>
}

// -----

// expected-error @+1 {{tile size of 'e0' must be 1, as each element has an index of its own}}
func.func private @elements(%x: tensor<50x32xf32>, %i: tensor<8x32xi64>) -> tensor<8x32xf32> {
  "kernel.schedule"() {generator = "gather", iteration_space = {kinds = ["parallel", "parallel"], names = ["d0", "e0"], sizes = array<i64: 8, 32>}, schedule = {cuts = [
      {memory = "register", order = ["e0"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.gather"(%x, %i) {axis = 0 : i64} : (tensor<50x32xf32>, tensor<8x32xi64>) -> tensor<8x32xf32>
  return %0 : tensor<8x32xf32>
}
