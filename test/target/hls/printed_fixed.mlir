// RUN: terrace-opt --pass-pipeline='builtin.module(convert-loop-to-hls{number-format=ap_fixed<16,6>},verify-hardware-attributes)' %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s
// RUN: %python %S/Inputs/print_hls.py %S/Inputs/refused_fixed.mlir | filecheck %s --check-prefix=REFUSED

// Memory holds numbers of the format, an accumulator and what is computed are wide, weights on chip are bit patterns;
// functions of math and division go through float32.
// CHECK:      void f(const number a0[4], const int16_t a1[4], number a2[4]) {
// CHECK-NEXT:   number t1[4];
// CHECK-NEXT:   wide t2;
// CHECK-NEXT:   t2 = wide(0.0);
// CHECK:          t1[i0] = a0[i0];
// CHECK:          t2 = wide(t1[i0] * from_bits(a1[i0]) + t2);
// CHECK:          a2[i0] = wide_of(op::exp(to_float({{.*}})));
// CHECK-NEXT:     const wide [[X:v[0-9]+]] = t2;
// CHECK-NEXT:     a2[i0] = ({{.*}} < wide(0.0)) ? wide(wide(-134217728.0)) : wide({{.*}});
// CHECK:      void model(const number input0[4], number output0[4]) {
func.func private @f(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %mx = "loop.to_buffer"(%x) : (tensor<4xf32>) -> memref<4xf32>
  %mw = "loop.to_buffer"(%w) : (tensor<4xf32>) -> memref<4xf32>
  %out = memref.alloc() : memref<4xf32>
  %copy = memref.alloca() : memref<4xf32>
  %sum = memref.alloca() : memref<f32>
  memref.store %zero, %sum[] : memref<f32>
  scf.for %i = %c0 to %c4 step %c1 {
    %v = memref.load %mx[%i] : memref<4xf32>
    memref.store %v, %copy[%i] : memref<4xf32>
  }
  scf.for %i = %c0 to %c4 step %c1 {
    %v = memref.load %copy[%i] : memref<4xf32>
    %u = memref.load %mw[%i] : memref<4xf32>
    %s = memref.load %sum[] : memref<f32>
    %t = math.fma %v, %u, %s : f32
    memref.store %t, %sum[] : memref<f32>
  }
  scf.for %i = %c0 to %c4 step %c1 {
    %s = memref.load %sum[] : memref<f32>
    %e = math.exp %s : f32
    memref.store %e, %out[%i] : memref<4xf32>
    %u = memref.load %sum[] : memref<f32>
    %c = arith.cmpf olt, %u, %zero : f32
    %r = arith.select %c, %lowest, %u : f32
    memref.store %r, %out[%i] : memref<4xf32>
  }
  %0 = "loop.to_tensor"(%out) : (memref<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"graph.parameter"() {sym_name = "w", type = tensor<4xf32>} : () -> ()
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4xf32>
  %0 = call @f(%x, %w) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// Not a number is no number of the format.
// REFUSED: -:5:8: error: 'arith.constant' op is no constant that C++ has here
