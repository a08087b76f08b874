// RUN: terrace-opt --convert-loop-to-iree --split-input-file --verify-diagnostics %s | filecheck %s

// A kernel that gives an argument's memory back has no binding for the result, which is tied to the argument.
// CHECK-LABEL: func.func @add_one(
// CHECK-SAME:      %arg0: !stream.binding, %arg1: index)
// CHECK-LABEL: func.func @main
// CHECK:         "flow.dispatch"({{.*}}) {{.*}}tied_operands = [0 : index]} : {{.*}} -> tensor<?xf32>
func.func private @add_one(%x: tensor<?xf32>) -> tensor<?xf32> attributes {loop.kernel} {
  %one = arith.constant 1.0 : f32
  %c0 = arith.constant 0 : index
  %m = "loop.to_buffer"(%x) : (tensor<?xf32>) -> memref<?xf32>
  "loop.parallel"() ({
    %0 = memref.load %m[%c0] : memref<?xf32>
    %1 = arith.addf %0, %one : f32
    memref.store %1, %m[%c0] : memref<?xf32>
    "loop.yield"() : () -> ()
  }) {mapping = []} : () -> ()
  %r = "loop.to_tensor"(%m) : (memref<?xf32>) -> tensor<?xf32>
  return %r : tensor<?xf32>
}
func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
  %0 = call @add_one(%x) : (tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

func.func private @add(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %m = "loop.to_buffer"(%x) : (tensor<4xf32>) -> memref<4xf32>
  %n = "loop.to_buffer"(%y) : (tensor<4xf32>) -> memref<4xf32>
  "loop.parallel"() ({
    %0 = memref.load %n[%c0] : memref<4xf32>
    memref.store %0, %m[%c0] : memref<4xf32>
    "loop.yield"() : () -> ()
  }) {mapping = []} : () -> ()
  %r = "loop.to_tensor"(%m) : (memref<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{updates argument 0 in place and reads it as another, too; pass a copy of it}}
  %0 = call @add(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
