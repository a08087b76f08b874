// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// A perfect nest is one pipeline: its counters move like the digits of a number.
// CHECK:      // copies: 23 cycles
// CHECK-NEXT: //   loop_1_1: 20 iterations, pipelined, II=1, depth 3
// CHECK:      module copies(
func.func private @copies(%a: memref<4x5xi8>, %b: memref<5x4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c5 step %c1 {
      %x = memref.load %a[%i, %j] : memref<4x5xi8>
      memref.store %x, %b[%j, %i] : memref<5x4xi8>
    } {loop.pipeline = 1 : i64}
  }
  return
}

// Copies of an outer loop's body are pipelines of their own, one after the other.
// CHECK:      // unrolled: 29 cycles
// CHECK-NEXT: //   loop_1: 2 iterations
// CHECK-NEXT: //     loop_1_1: 5 iterations, pipelined, II=1, depth 3
// CHECK-NEXT: //     loop_1_1_copy2: 5 iterations, pipelined, II=1, depth 3
func.func private @unrolled(%a: memref<4x5xi8>, %b: memref<5x4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c5 step %c1 {
      %x = memref.load %a[%i, %j] : memref<4x5xi8>
      memref.store %x, %b[%j, %i] : memref<5x4xi8>
    } {loop.pipeline = 1 : i64}
  } {loop.unroll = 2 : i64}
  return
}

// Nor is one a nest that reads memory which it writes: an iteration may need what another row wrote.
// CHECK:      // shifts: 21 cycles
// CHECK-NEXT: //   loop_1: 3 iterations
// CHECK-NEXT: //     loop_1_1: 5 iterations, pipelined, II=1, depth 3
func.func private @shifts(%a: memref<4x5xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c5 = arith.constant 5 : index
  scf.for %i = %c0 to %c3 step %c1 {
    %n = arith.addi %i, %c1 : index
    scf.for %j = %c0 to %c5 step %c1 {
      %x = memref.load %a[%n, %j] : memref<4x5xi8>
      memref.store %x, %a[%i, %j] : memref<4x5xi8>
    } {loop.pipeline = 1 : i64}
  }
  return
}

// A tile is finished while the next one is summed: the results of the tile before are read when those of this one are
// kept, late in an iteration, so that iterations follow each other in every cycle.
// CHECK:      // overlaps: 45 cycles
// CHECK-NEXT: //   loop_1_1_1: 40 iterations, pipelined, II=1, depth 5
func.func private @overlaps(%x: memref<9x4xi8>, %y: memref<9x4xi32>) attributes {loop.kernel} {
  %zero = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c9 = arith.constant 9 : index
  %c10 = arith.constant 10 : index
  %kept = memref.alloca() : memref<i32>
  %sum = memref.alloca() : memref<i32>
  scf.for %t = %c0 to %c10 step %c1 {
    scf.for %r = %c0 to %c2 step %c1 {
    scf.for %l = %c0 to %c2 step %c1 {
      %row = arith.muli %r, %c2 : index
      %k = arith.addi %row, %l : index
      %some = arith.cmpi ugt, %t, %c0 : index
      scf.if %some {
        %before = arith.subi %t, %c1 : index
        %a = memref.load %kept[] : memref<i32>
        memref.store %a, %y[%before, %k] : memref<9x4xi32>
      }
      %there = arith.cmpi ult, %t, %c9 : index
      scf.if %there {
        %first_row = arith.cmpi eq, %r, %c0 : index
        %first_column = arith.cmpi eq, %l, %c0 : index
        %first = arith.andi %first_row, %first_column : i1
        scf.if %first {
          memref.store %zero, %sum[] : memref<i32>
        }
        %b = memref.load %x[%t, %k] : memref<9x4xi8>
        %c = arith.extsi %b : i8 to i32
        %d = arith.muli %c, %c : i32
        %e = memref.load %sum[] : memref<i32>
        %f = arith.addi %e, %d : i32
        memref.store %f, %sum[] : memref<i32>
        %last = arith.cmpi eq, %k, %c3 : index
        scf.if %last {
          %g = memref.load %sum[] : memref<i32>
          memref.store %g, %kept[] : memref<i32>
        }
      }
    } {loop.pipeline = 1 : i64}
    }
  }
  return
}
