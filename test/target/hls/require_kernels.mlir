// RUN: terrace-opt --require-kernels --split-input-file --verify-diagnostics %s

// Calls, loads and reshapes are fine.
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  return %x : tensor<4xf32>
}
func.func @main(%x: tensor<2x2xf32>) -> tensor<4xf32> {
  %0 = "graph.reshape"(%x) : (tensor<2x2xf32>) -> tensor<4xf32>
  %1 = call @f(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'graph.exp' op runs in no kernel (element type f16), and this target has nothing else to run it}}
  %0 = "graph.exp"(%x) {why = "element type f16"} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{@declared has no body; give the function that it stands for}}
func.func private @declared(tensor<4xf32>) -> tensor<4xf32>

// -----

func.func @main(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
  %0 = tensor.extract %p[] : tensor<i1>
  // expected-error @+1 {{'scf.if' op is control flow, which this target does not run; choose by torch.where instead}}
  %1 = scf.if %0 -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    %2 = "graph.exp"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2 : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}
