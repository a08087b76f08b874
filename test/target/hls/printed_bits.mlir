// RUN: %python %S/Inputs/print_hls.py %s | filecheck %s

// One bit is 0 or 1 to extui and uitofp, 0 or -1 to extsi and sitofp.
// CHECK:      a1[0] = int8_t([[BIT:v[0-9]+]]);
// CHECK-NEXT: a1[1] = int8_t(-int([[BIT]]));
// CHECK-NEXT: a2[0] = float([[BIT]]);
// CHECK-NEXT: a2[1] = float(-int([[BIT]]));
func.func private @bits(%a: memref<1xi8>, %b: memref<2xi8>, %c: memref<2xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0 : i8
  %x = memref.load %a[%c0] : memref<1xi8>
  %bit = arith.cmpi slt, %x, %zero : i8
  %unsigned = arith.extui %bit : i1 to i8
  memref.store %unsigned, %b[%c0] : memref<2xi8>
  %signed = arith.extsi %bit : i1 to i8
  memref.store %signed, %b[%c1] : memref<2xi8>
  %one = arith.uitofp %bit : i1 to f32
  memref.store %one, %c[%c0] : memref<2xf32>
  %minus = arith.sitofp %bit : i1 to f32
  memref.store %minus, %c[%c1] : memref<2xf32>
  return
}
func.func @main(%a: memref<1xi8>, %b: memref<2xi8>, %c: memref<2xf32>) {
  call @bits(%a, %b, %c) : (memref<1xi8>, memref<2xi8>, memref<2xf32>) -> ()
  return
}
