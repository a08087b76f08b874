// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// What is known of the numbers makes the circuit narrow. Eight products of 16 bits are summed anew for each of four
// results: 19 bits, and a bias of 12 bits more needs no further one. A multiplier of at most 17 bits, and a shift by 9
// to 10 bits: the product has 36 bits, and what is left of it is clamped.
// CHECK-LABEL: module scaled(
// CHECK:        reg [18:0] t1;
// CHECK:        reg [35:0] loop_1_work_product
// CHECK-NOT:    [63:0]
// CHECK:      endmodule
func.func private @scaled(%x: memref<8xi8>, %w: memref<4x8xi8>, %b: memref<4xi32> {loop.range = [-2048, 2047]}, %m: memref<4xi32> {loop.range = [65536, 131071]}, %n: memref<4xi32> {loop.range = [9, 10]}, %y: memref<4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i32
  %least = arith.constant -128 : i64
  %most = arith.constant 127 : i64
  %sum = memref.alloca() : memref<i32>
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %k = %c0 to %c8 step %c1 {
      %first = arith.cmpi eq, %k, %c0 : index
      scf.if %first {
        memref.store %zero, %sum[] : memref<i32>
      }
      %s = memref.load %sum[] : memref<i32>
      %xk = memref.load %x[%k] : memref<8xi8>
      %wk = memref.load %w[%i, %k] : memref<4x8xi8>
      %xe = arith.extsi %xk : i8 to i32
      %we = arith.extsi %wk : i8 to i32
      %p = arith.muli %xe, %we : i32
      %t = arith.addi %s, %p : i32
      memref.store %t, %sum[] : memref<i32>
    } {loop.pipeline = 1 : i64}
    %s = memref.load %sum[] : memref<i32>
    %bi = memref.load %b[%i] : memref<4xi32>
    %biased = arith.addi %s, %bi : i32
    %mi = memref.load %m[%i] : memref<4xi32>
    %ni = memref.load %n[%i] : memref<4xi32>
    %be = arith.extsi %biased : i32 to i64
    %me = arith.extsi %mi : i32 to i64
    %ne = arith.extsi %ni : i32 to i64
    %scaled = arith.muli %be, %me : i64
    %shifted = arith.shrsi %scaled, %ne : i64
    %low = arith.maxsi %shifted, %least : i64
    %clamped = arith.minsi %low, %most : i64
    %r = arith.trunci %clamped : i64 to i8
    memref.store %r, %y[%i] : memref<4xi8>
  }
  return
}

// A register that is doubled, and one that is set where an element says so: nothing is known of their sums.
// CHECK-LABEL: module unknown(
// CHECK-DAG:    reg [31:0] t1;
// CHECK-DAG:    reg [31:0] t2;
func.func private @unknown(%x: memref<8xi8>, %y: memref<2xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i32
  %nothing = arith.constant 0 : i8
  %doubled = memref.alloca() : memref<i32>
  %now_and_then = memref.alloca() : memref<i32>
  memref.store %zero, %doubled[] : memref<i32>
  scf.for %k = %c0 to %c8 step %c1 {
    %xk = memref.load %x[%k] : memref<8xi8>
    %xe = arith.extsi %xk : i8 to i32
    %d = memref.load %doubled[] : memref<i32>
    %dd = arith.addi %d, %d : i32
    %e = arith.addi %dd, %xe : i32
    memref.store %e, %doubled[] : memref<i32>
    %is_zero = arith.cmpi eq, %xk, %nothing : i8
    scf.if %is_zero {
      memref.store %zero, %now_and_then[] : memref<i32>
    }
    %s = memref.load %now_and_then[] : memref<i32>
    %t = arith.addi %s, %xe : i32
    memref.store %t, %now_and_then[] : memref<i32>
  } {loop.pipeline = 1 : i64}
  %r = memref.load %doubled[] : memref<i32>
  memref.store %r, %y[%c0] : memref<2xi32>
  %t = memref.load %now_and_then[] : memref<i32>
  memref.store %t, %y[%c1] : memref<2xi32>
  return
}
