// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// A border of zeros around what is read: which way a row goes is known from its number, so the cycles are, too:
// 2 rows of 4 and 3 of 1 + 4 + 1, and one to write the last. The two banks of the result are written by turns, each
// through its own port, behind a register.
// CHECK:      // border: 27 cycles
// CHECK-NEXT: //   loop_1: 5 iterations
// CHECK-NEXT: //     loop_1_if: one way
// CHECK-NEXT: //       loop_1_if_then_work: depth 1
// CHECK-NEXT: //       loop_1_1: 3 iterations, pipelined, II=1, depth 2
// CHECK-NEXT: //       loop_1_if_then_work2: depth 1
// CHECK-NEXT: //     loop_1_if: or the other
// CHECK-NEXT: //       loop_1_2: 4 iterations, pipelined, II=1, depth 1
// CHECK:      module border(
// CHECK:        output a1_bank0_write,
// CHECK-NEXT:   output [3:0] a1_bank0_write_address,
// CHECK-NEXT:   output [7:0] a1_bank0_write_data,
// CHECK-NEXT:   output a1_bank1_write,
// CHECK:        wire loop_1_if_condition = (|loop_1_i) & ~(loop_1_i[2]);
// CHECK-NEXT:   wire loop_1_if_then = loop_1_start & loop_1_if_condition;
// CHECK:        written <= loop_1_if_last & loop_1_i_is_last;
// CHECK:        reg a1_bank1_writes;
// CHECK:        loop_1_1_cycle1 & {{.*}} | loop_1_if_then_work2_go | loop_1_2_start
// CHECK-NEXT:   & loop_1_2_i[0];
// CHECK:        a1_bank1_element <= {{.*}} ? 8'h0 : a0_read_data;
// CHECK:        assign done = written;
// CHECK:        assign a1_bank1_write = a1_bank1_writes;
func.func private @border(%a: memref<3x3xi8>, %out: memref<5x4xi8> {loop.partition = {dim = 2 : i64, factor = 2 : i64, kind = "cyclic"}}) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %zero = arith.constant 0 : i8
  scf.for %i = %c0 to %c5 step %c1 {
    %above = arith.cmpi uge, %i, %c1 : index
    %below = arith.cmpi ult, %i, %c4 : index
    %inside = arith.andi %above, %below : i1
    scf.if %inside {
      memref.store %zero, %out[%i, %c0] : memref<5x4xi8>
      %row = arith.subi %i, %c1 : index
      scf.for %j = %c0 to %c3 step %c1 {
        %x = memref.load %a[%row, %j] : memref<3x3xi8>
        %at = arith.addi %j, %c1 : index
        memref.store %x, %out[%i, %at] : memref<5x4xi8>
      } {loop.pipeline = 1 : i64}
      memref.store %zero, %out[%i, %c3] : memref<5x4xi8>
    } else {
      scf.for %j = %c0 to %c4 step %c1 {
        memref.store %zero, %out[%i, %j] : memref<5x4xi8>
      } {loop.pipeline = 1 : i64}
    }
  }
  return
}
