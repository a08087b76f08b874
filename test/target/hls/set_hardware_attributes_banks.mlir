// RUN: terrace-opt --set-hardware-attributes --verify-hardware-attributes %s | filecheck %s

// A buffer between kernels of integers is cut for both: the writer fills two elements at once, the reader takes two of
// each of two neighbours. Each of two banks is read at two addresses, and is there twice for it.
// CHECK-LABEL: func.func private @writes
// CHECK-SAME:    %arg1: memref<8x2xi8> {loop.partition = {dim = 2 : i64, factor = 2 : i64, kind = "cyclic"}}
func.func private @writes(%x: memref<8xi8>, %y: memref<8x2xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %v = memref.load %x[%i] : memref<8xi8>
    scf.for %j = %c0 to %c2 step %c1 {
      memref.store %v, %y[%i, %j] : memref<8x2xi8>
    } {loop.unroll = 2 : i64}
  }
  return
}

// CHECK-LABEL: func.func private @reads
// CHECK-SAME:    %arg0: memref<16xi8> {loop.copies = 2 : i64, loop.partition = {dim = 1 : i64, factor = 2 : i64, kind = "cyclic"}}, %arg1: memref<7xi8>)
// CHECK:         } {loop.pipeline = 1 : i64}
func.func private @reads(%y: memref<16xi8>, %z: memref<7xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c7 = arith.constant 7 : index
  %zero = arith.constant 0 : i8
  scf.for %i = %c0 to %c7 step %c1 {
    %sum = memref.alloca() : memref<i8>
    memref.store %zero, %sum[] : memref<i8>
    %first = arith.muli %i, %c2 : index
    scf.for %n = %c0 to %c2 step %c1 {
      %more = arith.muli %n, %c2 : index
      %pixel = arith.addi %first, %more : index
      scf.for %j = %c0 to %c2 step %c1 {
        %at = arith.addi %pixel, %j : index
        %v = memref.load %y[%at] : memref<16xi8>
        %s = memref.load %sum[] : memref<i8>
        %t = arith.addi %s, %v : i8
        memref.store %t, %sum[] : memref<i8>
      } {loop.unroll = 2 : i64}
    } {loop.unroll = 2 : i64}
    %r = memref.load %sum[] : memref<i8>
    memref.store %r, %z[%i] : memref<7xi8>
  }
  return
}

// It is no queue any longer, which gives one element after the other. Ports of the host have no banks here.
// CHECK-LABEL: func.func @main
// CHECK:         memref.alloc() {loop.copies = 2 : i64, loop.partition = {dim = 2 : i64, factor = 2 : i64, kind = "cyclic"}} : memref<8x2xi8>
func.func @main(%x: memref<8xi8>, %z: memref<7xi8>, %a: memref<9xi8>, %b: memref<7xi8>, %c: memref<8xi8>) attributes {hls.inputs = 1 : i64} {
  %y = memref.alloc() : memref<8x2xi8>
  func.call @writes(%x, %y) : (memref<8xi8>, memref<8x2xi8>) -> ()
  %flat = memref.reinterpret_cast %y to offset: [0], sizes: [16], strides: [1] : memref<8x2xi8> to memref<16xi8>
  func.call @reads(%flat, %z) : (memref<16xi8>, memref<7xi8>) -> ()
  func.call @overlaps(%a, %b) : (memref<9xi8>, memref<7xi8>) -> ()
  %three = memref.alloc() : memref<8x3xi8>
  func.call @fills(%x, %three) : (memref<8xi8>, memref<8x3xi8>) -> ()
  func.call @takes_three(%three, %c) : (memref<8x3xi8>, memref<8xi8>) -> ()
  return
}

// Of what two loads read at once, one element is common to both: there are three.
// CHECK-LABEL: func.func private @overlaps
// CHECK-SAME:    %arg0: memref<9xi8> {loop.copies = 3 : i64}
func.func private @overlaps(%x: memref<9xi8>, %y: memref<7xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c7 = arith.constant 7 : index
  %zero = arith.constant 0 : i8
  scf.for %i = %c0 to %c7 step %c1 {
    %sum = memref.alloca() : memref<i8>
    memref.store %zero, %sum[] : memref<i8>
    %next = arith.addi %i, %c1 : index
    scf.for %j = %c0 to %c2 step %c1 {
      %at = arith.addi %i, %j : index
      %after = arith.addi %next, %j : index
      %v = memref.load %x[%at] : memref<9xi8>
      %w = memref.load %x[%after] : memref<9xi8>
      %s = memref.load %sum[] : memref<i8>
      %t = arith.addi %s, %v : i8
      %u = arith.addi %t, %w : i8
      memref.store %u, %sum[] : memref<i8>
    } {loop.unroll = 2 : i64}
    %r = memref.load %sum[] : memref<i8>
    memref.store %r, %y[%i] : memref<7xi8>
  }
  return
}

// An element in three is written in each iteration, in order: 3 i + place, where place is below 3. So it goes through
// three banks without a division, as the reader wants them.
// CHECK-LABEL: func.func private @fills
// CHECK-SAME:    %arg1: memref<8x3xi8> {loop.partition = {dim = 2 : i64, factor = 3 : i64, kind = "cyclic"}}
func.func private @fills(%x: memref<8xi8>, %y: memref<8x3xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    scf.for %k = %c0 to %c2 step %c1 {
      scf.for %l = %c0 to %c2 step %c1 {
        %row = arith.muli %k, %c2 : index
        %place = arith.addi %row, %l : index
        %is_there = arith.cmpi ult, %place, %c3 : index
        scf.if %is_there {
          %v = memref.load %x[%i] : memref<8xi8>
          memref.store %v, %y[%i, %place] : memref<8x3xi8>
        }
      } {loop.pipeline = 1 : i64}
    }
  }
  return
}

// CHECK-LABEL: func.func private @takes_three
// CHECK-SAME:    %arg0: memref<8x3xi8> {loop.partition = {dim = 2 : i64, factor = 3 : i64, kind = "cyclic"}}
func.func private @takes_three(%y: memref<8x3xi8>, %z: memref<8xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i8
  scf.for %i = %c0 to %c8 step %c1 {
    %sum = memref.alloca() : memref<i8>
    memref.store %zero, %sum[] : memref<i8>
    scf.for %j = %c0 to %c3 step %c1 {
      %v = memref.load %y[%i, %j] : memref<8x3xi8>
      %s = memref.load %sum[] : memref<i8>
      %t = arith.addi %s, %v : i8
      memref.store %t, %sum[] : memref<i8>
    } {loop.unroll = 3 : i64}
    %r = memref.load %sum[] : memref<i8>
    memref.store %r, %z[%i] : memref<8xi8>
  }
  return
}
