// RUN: %python %S/Inputs/print_hls.py %s | filecheck %s

// Integers that C++ has no type for: each result is cut to its width, amounts of shifts have no sign.
// CHECK:      void sums(const int8_t a0[8], hls::stream<ap_int<12>> &a1, ap_int<20> a2[1]) {
// CHECK-NEXT:   ap_int<20> [[SUM:t[0-9]+]];
// CHECK-NEXT:   ap_int<12> [[COPY:t[0-9]+]][2][8];
// CHECK-NEXT:   [[SUM]] = ap_int<20>(-524288);
// CHECK-NEXT:   loop_1: for (int i0 = 0; i0 < 8; i0 += 1) {
// CHECK-NEXT:     const int8_t [[A:v[0-9]+]] = a0[i0];
// CHECK-NEXT:     const ap_int<12> [[B:v[0-9]+]] = a1.read();
// CHECK-NEXT:     [[COPY]][1][i0] = [[B]];
// CHECK-NEXT:     const ap_int<20> [[P:v[0-9]+]] = ap_int<20>(ap_int<20>([[A]]) * ap_int<20>(ap_uint<12>([[B]])));
// CHECK-NEXT:     [[SUM]] = ap_int<20>([[SUM]] + ap_int<20>([[P]] << ap_uint<20>(ap_int<20>(2))));
// CHECK-NEXT:     if (ap_uint<20>([[P]]) < ap_uint<20>(ap_int<20>(2))) {
// CHECK-NEXT:       [[SUM]] = smaller(ap_int<20>(2), [[P]]);
// CHECK:        a2[0] = [[SUM]];
func.func private @sums(%x: memref<8xi8>, %y: memref<8xi12>, %z: memref<1xi20>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %start = arith.constant -524288 : i20
  %two = arith.constant 2 : i20
  %sum = memref.alloca() : memref<i20>
  %copy = memref.alloca() : memref<2x8xi12>
  memref.store %start, %sum[] : memref<i20>
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xi8>
    %b = memref.load %y[%i] : memref<8xi12>
    memref.store %b, %copy[%c1, %i] : memref<2x8xi12>
    %signed = arith.extsi %a : i8 to i20
    %unsigned = arith.extui %b : i12 to i20
    %product = arith.muli %signed, %unsigned : i20
    %shifted = arith.shli %product, %two : i20
    %old = memref.load %sum[] : memref<i20>
    %new = arith.addi %old, %shifted : i20
    memref.store %new, %sum[] : memref<i20>
    %below = arith.cmpi ult, %product, %two : i20
    scf.if %below {
      %least = arith.minsi %two, %product : i20
      memref.store %least, %sum[] : memref<i20>
    }
  }
  %all = memref.load %sum[] : memref<i20>
  memref.store %all, %z[%c0] : memref<1xi20>
  return
}
// CHECK:      void model(const int8_t input0[8], const ap_int<12> input1[8], ap_int<20> output0[1]) {
// CHECK:        static hls::stream<ap_int<12>> [[QUEUE:buffer[0-9]+]];
func.func private @move(%x: memref<8xi12>, %y: memref<8xi12>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xi12>
    memref.store %a, %y[%i] : memref<8xi12>
  }
  return
}
func.func @main(%x: memref<8xi8>, %y: memref<8xi12>, %z: memref<1xi20>) attributes {hls.inputs = 2 : i64} {
  %queue = memref.alloc() {loop.stream = 2 : i64} : memref<8xi12>
  call @move(%y, %queue) : (memref<8xi12>, memref<8xi12>) -> ()
  call @sums(%x, %queue, %z) : (memref<8xi8>, memref<8xi12>, memref<1xi20>) -> ()
  return
}
