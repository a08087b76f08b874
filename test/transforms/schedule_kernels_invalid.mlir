// RUN: terrace-opt --schedule-kernels --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --schedule-kernels-for-gpu --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --schedule-kernels-for-hls --split-input-file --verify-diagnostics %s

func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'kernel.schedule' op names no generator 'wavelet'; known are attention, conv2d, copy, elementwise, encoded_matmul, gather, group_norm, matmul, permute, pool2d, reduce, resample, row_reduction, scan, scatter, sort}}
  "kernel.schedule"() {generator = "wavelet", schedule = {},
    iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A cost model relies on the names.
func.func private @kernel(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>) -> tensor<4x40xf32> {
  // expected-error @+1 {{must have the iteration_space of its ops: {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 4, 40, 6>}}}
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "q", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  return %0 : tensor<4x40xf32>
}
