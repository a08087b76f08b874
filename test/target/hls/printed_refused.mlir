// RUN: %python %S/Inputs/print_hls.py %s | filecheck %s

// The line of the op is named, counted from the top of this file.
// CHECK: -:8:8: error: 'math.atan' op has no C++ here
func.func @main(%x: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %0 = memref.load %x[%c0] : memref<4xf32>
  %1 = math.atan %0 : f32
  memref.store %1, %x[%c0] : memref<4xf32>
  return
}
