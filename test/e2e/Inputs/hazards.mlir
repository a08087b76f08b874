// Loops whose iterations, values and arrays depend on each other in the ways that a schedule can get wrong.
func.func private @hazards(%a: memref<16xi32>, %b: memref<16xi32>, %out: memref<16xi32>, %counts: memref<8xi32>, %bytes: memref<4x4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %seven = arith.constant 7 : i32
  // A histogram: the next iteration may read what this one writes, at an address that comes from memory.
  scf.for %i = %c0 to %c16 step %c1 {
    %x = memref.load %a[%i] : memref<16xi32>
    %low = arith.andi %x, %seven : i32
    %at = arith.index_cast %low : i32 to index
    %n = memref.load %counts[%at] : memref<8xi32>
    %m = arith.addi %n, %one : i32
    memref.store %m, %counts[%at] : memref<8xi32>
  } {loop.pipeline = 1 : i64}
  // Two iterations later, in place.
  scf.for %i = %c2 to %c16 step %c1 {
    %before = arith.subi %i, %c2 : index
    %x = memref.load %out[%before] : memref<16xi32>
    %y = memref.load %a[%i] : memref<16xi32>
    %p = arith.muli %x, %y : i32
    %s = arith.addi %p, %y : i32
    memref.store %s, %out[%i] : memref<16xi32>
  } {loop.pipeline = 1 : i64}
  // Registers that change places, then hold a value of the first loop's memory.
  %r = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<2xi32>
  %first = memref.load %a[%c3] : memref<16xi32>
  memref.store %first, %r[%c0] : memref<2xi32>
  memref.store %one, %r[%c1] : memref<2xi32>
  scf.for %i = %c0 to %c5 step %c1 {
    %x = memref.load %r[%c0] : memref<2xi32>
    %y = memref.load %r[%c1] : memref<2xi32>
    %z = memref.load %b[%i] : memref<16xi32>
    %s = arith.subi %x, %z : i32
    memref.store %y, %r[%c0] : memref<2xi32>
    memref.store %s, %r[%c1] : memref<2xi32>
  } {loop.pipeline = 1 : i64}
  // Conditions: stores that do not happen, in memory and in registers, and a store that another overtakes.
  %t = memref.alloca() : memref<16xi32>
  %kept = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xi32>
  scf.for %i = %c0 to %c4 step %c1 {
    memref.store %first, %kept[%i] : memref<4xi32>
  } {loop.unroll = 4 : i64}
  scf.for %i = %c0 to %c16 step %c1 {
    %x = memref.load %a[%i] : memref<16xi32>
    %y = memref.load %b[%i] : memref<16xi32>
    %greater = arith.cmpi sgt, %x, %y : i32
    scf.if %greater {
      %fourth = arith.remui %i, %c4 : index
      memref.store %y, %kept[%fourth] : memref<4xi32>
    } else {
      memref.store %zero, %out[%i] : memref<16xi32>
    }
    %largest = arith.select %greater, %x, %y : i32
    %third = arith.muli %i, %c3 : index
    %at = arith.remui %third, %c16 : index
    memref.store %largest, %t[%at] : memref<16xi32>
    %early = arith.cmpi ult, %i, %c5 : index
    scf.if %early {
      memref.store %one, %t[%at] : memref<16xi32>
    }
  } {loop.pipeline = 1 : i64, loop.unroll = 2 : i64}
  // A value of an outer loop in an inner one; divisions by what is no power of two; the other registers again.
  scf.for %i = %c0 to %c4 step %c1 {
    %q = memref.load %kept[%i] : memref<4xi32>
    %w = memref.load %r[%c1] : memref<2xi32>
    scf.for %j = %c0 to %c4 step %c1 {
      %row = arith.muli %i, %c4 : index
      %at = arith.addi %row, %j : index
      %third = arith.divui %at, %c3 : index
      %x = memref.load %t[%third] : memref<16xi32>
      %y = memref.load %out[%at] : memref<16xi32>
      %s = arith.addi %x, %q : i32
      %u = arith.xori %s, %w : i32
      %v = arith.addi %u, %y : i32
      memref.store %v, %out[%at] : memref<16xi32>
      %narrow = arith.trunci %v : i32 to i8
      %old = memref.load %bytes[%j, %i] : memref<4x4xi8>
      %less = arith.cmpi ult, %narrow, %old : i8
      %bit = arith.extui %less : i1 to i8
      %sign = arith.extsi %less : i1 to i8
      %shifted = arith.shli %old, %bit : i8
      %largest = arith.maxui %shifted, %narrow : i8
      %both = arith.ori %largest, %sign : i8
      memref.store %both, %bytes[%j, %i] : memref<4x4xi8>
    } {loop.pipeline = 1 : i64}
  }
  return
}
