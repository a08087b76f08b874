// RUN: terrace-opt --schedule-kernels --verify-diagnostics %s

func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'kernel.schedule' op has no cost model for generator 'wavelet'}}
  "kernel.schedule"() {generator = "wavelet", schedule = {},
    iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}} : () -> ()
  return %x : tensor<4xf32>
}
