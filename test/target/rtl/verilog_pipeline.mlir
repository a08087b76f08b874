// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// An accumulation in a register: the pipeline starts an iteration each cycle, what is read waits for the cycle of the
// product, and the sum is added in the cycle in which it is read, in the 19 bits that eight products need; the address
// is a counter, and nothing multiplies for it. The result goes through a register before its port.
// CHECK:      // dot: 14 cycles
// CHECK-NEXT: //   body_work: depth 1
// CHECK-NEXT: //   loop_1: 8 iterations, pipelined, II=1, depth 4
// CHECK-NEXT: //   body_work2: depth 1
// CHECK:      module dot(
// CHECK:        input [7:0] a0_read_data,
// CHECK-NEXT:   a1_read_data,
// CHECK:        output [2:0] a0_read_address,
// CHECK:        output a2_write,
// CHECK:        output [31:0] a2_write_data
// CHECK:        reg [15:0] [[PRODUCT:loop_1_product[0-9_]+]];
// CHECK:        t1 <=
// CHECK-NEXT:   go | loop_1_cycle3 ? (loop_1_cycle3 ? t1 + {{[{][{]3[{]}}[[PRODUCT]][15]}}, [[PRODUCT]]} : 19'h0) : t1;
// CHECK:        [[X:loop_1_loaded[0-9]+_cycle2]] <= a0_read_data;
// CHECK:        [[Y:loop_1_loaded[0-9]+_cycle2]] <= a1_read_data;
// CHECK:        [[PRODUCT]] <= $signed([[X]]) * $signed([[Y]]);
// CHECK:        written <= body_work2_go;
// CHECK:        a2_writes <= body_work2_go;
// CHECK:        assign done = written;
// CHECK:        assign a0_read_address = loop_1_i;
// CHECK-NEXT:   assign a1_read_address = loop_1_i;
// CHECK-NEXT:   assign a2_write = a2_writes;
func.func private @dot(%a: memref<8xi8>, %b: memref<8xi8>, %out: memref<1xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i32
  %sum = memref.alloca() : memref<i32>
  memref.store %zero, %sum[] : memref<i32>
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %a[%i] : memref<8xi8>
    %y = memref.load %b[%i] : memref<8xi8>
    %s = memref.load %sum[] : memref<i32>
    %xe = arith.extsi %x : i8 to i32
    %ye = arith.extsi %y : i8 to i32
    %p = arith.muli %xe, %ye : i32
    %t = arith.addi %s, %p : i32
    memref.store %t, %sum[] : memref<i32>
  } {loop.pipeline = 1 : i64}
  %r = memref.load %sum[] : memref<i32>
  memref.store %r, %out[%c0] : memref<1xi32>
  return
}
