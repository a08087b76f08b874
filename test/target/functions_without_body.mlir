// RUN: terrace-opt --lower-tiles-to-vector --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --lower-tiles-to-invocations --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --lower-tiles-to-arrays --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --keep-denormals --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --set-hardware-attributes --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --convert-loop-to-iree --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --convert-loop-to-gpu --split-input-file --verify-diagnostics %s
// RUN: terrace-opt --convert-loop-to-hls --split-input-file --verify-diagnostics %s

// No target can run a kernel that is only declared.
// expected-error @+1 {{@kernel has no body; give the function that it stands for}}
func.func private @kernel(tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel}
