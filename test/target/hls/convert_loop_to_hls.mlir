// RUN: terrace-opt --pass-pipeline='builtin.module(convert-loop-to-hls{rom-elements=8})' --split-input-file %s | filecheck %s
// RUN: terrace-opt --convert-loop-to-hls --split-input-file --verify-diagnostics %S/Inputs/refused_calls.mlir

// A small weight is kept on chip, a large one is a port; what the last kernel gives goes straight into the output.
// CHECK:       memref.global "private" @small : memref<4xf32>
// CHECK-LABEL: func.func private @add(%arg0: memref<4xf32>, %arg1: memref<4xf32>, %arg2: memref<4xf32>)
// CHECK:         memref.load %arg0
// CHECK:         memref.store %{{.*}}, %arg2
// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%arg0: memref<2x2xf32>, %arg1: memref<4x4xf32> {hls.port = "large"}, %arg2: memref<2x2xf32>) attributes {hls.inputs = 1 : i64}
// CHECK-DAG:     %[[SMALL:.*]] = memref.get_global @small : memref<4xf32>
// CHECK-DAG:     %[[IN:.*]] = memref.reinterpret_cast %arg0 to offset: [0], sizes: [4], strides: [1]
// CHECK:         %[[MIDDLE:.*]] = memref.alloc() : memref<4xf32>
// CHECK:         call @add(%[[IN]], %[[SMALL]], %[[MIDDLE]])
// CHECK:         %[[OUT:.*]] = memref.reinterpret_cast %arg2 to offset: [0], sizes: [4]
// CHECK:         call @apply(%[[MIDDLE]], %arg1, %[[OUT]])
// CHECK-NOT:     memref.copy
func.func private @add(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %ma = "loop.to_buffer"(%a) : (tensor<4xf32>) -> memref<4xf32>
  %mb = "loop.to_buffer"(%b) : (tensor<4xf32>) -> memref<4xf32>
  %out = memref.alloc() : memref<4xf32>
  %x = memref.load %ma[%c0] : memref<4xf32>
  memref.store %x, %out[%c0] : memref<4xf32>
  %0 = "loop.to_tensor"(%out) : (memref<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @apply(%a: tensor<4xf32>, %b: tensor<4x4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %ma = "loop.to_buffer"(%a) : (tensor<4xf32>) -> memref<4xf32>
  %mb = "loop.to_buffer"(%b) : (tensor<4x4xf32>) -> memref<4x4xf32>
  %out = memref.alloc() : memref<4xf32>
  %0 = "loop.to_tensor"(%out) : (memref<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"graph.parameter"() {sym_name = "small", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "large", type = tensor<4x4xf32>} : () -> ()
func.func @main(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %small = "graph.load"() {symbol = @small} : () -> tensor<4xf32>
  %large = "graph.load"() {symbol = @large} : () -> tensor<4x4xf32>
  %0 = "graph.reshape"(%x) : (tensor<2x2xf32>) -> tensor<4xf32>
  %1 = call @add(%0, %small) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = call @apply(%1, %large) : (tensor<4xf32>, tensor<4x4xf32>) -> tensor<4xf32>
  %3 = "graph.reshape"(%2) : (tensor<4xf32>) -> tensor<2x2xf32>
  return %3 : tensor<2x2xf32>
}

// -----

// An input that is returned is copied; so is a result that is returned twice.
// CHECK-LABEL: func.func @main(%arg0: memref<4xf32>, %arg1: memref<4xf32>, %arg2: memref<4xf32>, %arg3: memref<4xf32>)
// CHECK:         memref.copy %arg0, %arg1
// CHECK:         memref.copy %arg2, %arg3
func.func private @f(%a: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %ma = "loop.to_buffer"(%a) : (tensor<4xf32>) -> memref<4xf32>
  %out = memref.alloc() : memref<4xf32>
  %0 = "loop.to_tensor"(%out) : (memref<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = call @f(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %x, %0, %0 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
