// RUN: %python %S/Inputs/print_hls.py %s | filecheck %s

// One bit is 0 or 1 to extui and uitofp, 0 or -1 to extsi and sitofp.
// CHECK:      a1[0] = int8_t([[BIT:v[0-9]+]]);
// CHECK-NEXT: a1[1] = int8_t(-int([[BIT]]));
// CHECK-NEXT: a2[0] = float([[BIT]]);
// CHECK-NEXT: a2[1] = float(-int([[BIT]]));
// The lowest bit is what trunci keeps; extui and uitofp take the others as having no sign.
// CHECK-NEXT: a3[0] = int32_t(bool(v{{[0-9]+}} & int8_t(1)));
// CHECK-NEXT: a3[1] = int32_t(uint8_t(v{{[0-9]+}}));
func.func private @bits(%a: memref<1xi8>, %b: memref<2xi8>, %c: memref<2xf32>, %d: memref<2xi32>) {
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
  %lowest = arith.trunci %x : i8 to i1
  %odd = arith.extui %lowest : i1 to i32
  memref.store %odd, %d[%c0] : memref<2xi32>
  %plain = arith.extui %x : i8 to i32
  memref.store %plain, %d[%c1] : memref<2xi32>
  return
}
func.func @main(%a: memref<1xi8>, %b: memref<2xi8>, %c: memref<2xf32>, %d: memref<2xi32>) {
  call @bits(%a, %b, %c, %d) : (memref<1xi8>, memref<2xi8>, memref<2xf32>, memref<2xi32>) -> ()
  return
}
