// RUN: terrace-opt --set-hardware-attributes --split-input-file --verify-diagnostics %s

// What hardware computes in is known only by these names.
// expected-error @+1 {{number_format must be 'float' or like 'ap_fixed<16,6,AP_RND,AP_SAT>', got 'fixed<1>'}}
module attributes {hls.number_format = "fixed<1>"} {
}

// -----

// An attribute that the bindings have no class for, on an op of whatever dialect.
func.func private @kernel() attributes {loop.kernel} {
  // expected-error @+1 {{'memref.alloc' op has an attribute that MLIR's bindings cannot read}}
  %0 = memref.alloc() {loop.partition = array<si8: 1>} : memref<4xf32>
  return
}
