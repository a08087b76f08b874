// RUN: terrace-opt --verify-hardware-attributes --split-input-file --verify-diagnostics %s

// All is well: the copies of the unrolled body find their elements in banks of their own.
func.func @legal(%a: memref<16x8xf32> {loop.partition = {kind = "cyclic", dim = 2, factor = 4}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      %x = memref.load %a[%i, %j] : memref<16x8xf32>
      memref.store %x, %a[%i, %j] : memref<16x8xf32>
    } {loop.unroll = 8 : i64}
  } {loop.pipeline = 2 : i64}
  return
}

// -----

func.func @banks(%a: memref<24xf32> {loop.partition = {kind = "cyclic", dim = 1, factor = 3}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c4 step %c1 {
      %row = arith.muli %i, %c4 : index
      %at = arith.addi %row, %j : index
      // expected-error @+1 {{'memref.load' op moves by 4 elements from one iteration to the next of a loop, which is no multiple of the 3 cyclic banks}}
      %x = memref.load %a[%at] : memref<24xf32>
    } {loop.unroll = 4 : i64}
  }
  return
}

// -----

// Of eight banks a copy goes through two, by a bit of its address: no division.
func.func @halves(%a: memref<32xf32> {loop.partition = {kind = "cyclic", dim = 1, factor = 8}, loop.copies = 2}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c4 step %c1 {
      %row = arith.muli %i, %c4 : index
      %at = arith.addi %row, %j : index
      %x = memref.load %a[%at] : memref<32xf32>
    } {loop.unroll = 4 : i64}
  } {loop.pipeline = 1 : i64}
  return
}

// -----

// expected-error @+1 {{'func.func' op attribute 'loop.copies' must be a positive integer, got 0}}
func.func @no_copies(%a: memref<32xf32> {loop.copies = 0}) {
  return
}

// -----

func.func @copies_of_a_loop() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error @+1 {{'scf.for' op attribute 'loop.copies' is for arrays (memref.alloca, memref.alloc, arguments)}}
  scf.for %i = %c0 to %c1 step %c1 {
  } {loop.copies = 2 : i64}
  return
}

// -----

func.func @unroll() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  // expected-error @+1 {{'scf.for' op cannot be unrolled by 4, which does not divide its 10 iterations}}
  scf.for %i = %c0 to %c10 step %c1 {
  } {loop.unroll = 4 : i64}
  return
}

// -----

func.func @unknown(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error @+1 {{'scf.for' op cannot be unrolled: its trip count is not static}}
  scf.for %i = %c0 to %n step %c1 {
  } {loop.unroll = 4 : i64}
  return
}

// -----

func.func @pipeline() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    // expected-error @+1 {{'scf.for' op stands in a pipelined loop, so it must be unrolled whole}}
    scf.for %j = %c0 to %c8 step %c1 {
    } {loop.unroll = 2 : i64}
  } {loop.pipeline = 1 : i64}
  return
}

// -----

func.func @interval() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error @+1 {{'scf.for' op attribute 'loop.pipeline' must be a positive integer, got 0 : i64}}
  scf.for %i = %c0 to %c1 step %c1 {
  } {loop.pipeline = 0 : i64}
  return
}

// -----

func.func @kind() {
  // expected-error @+1 {{'memref.alloca' op partition kind must be one of block, complete, cyclic, got 'striped'}}
  %t = memref.alloca() {loop.partition = {kind = "striped", dim = 1}} : memref<8xf32>
  return
}

// -----

func.func @factor() {
  // expected-error @+1 {{'memref.alloca' op partition factor 3 must be 2 or more and divide the size 8}}
  %t = memref.alloca() {loop.partition = {kind = "block", dim = 1, factor = 3}} : memref<8xf32>
  return
}

// -----

func.func @dim() {
  // expected-error @+1 {{'memref.alloca' op partition dim 2 is out of range 1 to 1}}
  %t = memref.alloca() {loop.partition = {kind = "complete", dim = 2}} : memref<8xf32>
  return
}

// -----

func.func @dim_in_words() {
  // expected-error @+1 {{'memref.alloca' op attribute 'loop.partition' must have integers as dim and factor}}
  %t = memref.alloca() {loop.partition = {kind = "complete", dim = "first"}} : memref<8xf32>
  return
}

// -----

func.func private @f(memref<8xf32>)
func.func @dataflow() attributes {loop.dataflow} {
  // expected-error @+1 {{'memref.alloc' op needs one call that writes it and one that reads it in a dataflow function}}
  %t = memref.alloc() : memref<8xf32>
  call @f(%t) : (memref<8xf32>) -> ()
  return
}

// -----

func.func @stream() {
  // expected-error @+1 {{'memref.alloc' op attribute 'loop.stream' is for memref.alloc in a function with 'loop.dataflow'}}
  %t = memref.alloc() {loop.stream = 2 : i64} : memref<8xf32>
  return
}

// -----

// One writes the buffer row by row, the other reads it as one row: a queue.
func.func @rows(%out: memref<2x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %x = arith.constant 1.0 : f32
  scf.for %i = %c0 to %c2 step %c1 {
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %x, %out[%i, %j] : memref<2x4xf32>
    }
  }
  return
}
func.func @columns(%in: memref<2x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  scf.for %j = %c0 to %c4 step %c1 {
    scf.for %i = %c0 to %c2 step %c1 {
      %x = memref.load %in[%i, %j] : memref<2x4xf32>
    }
  }
  return
}
func.func @one_row(%in: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
  }
  return
}
func.func @queue() attributes {loop.dataflow} {
  %t = memref.alloc() {loop.stream = 2 : i64} : memref<2x4xf32>
  %flat = memref.reinterpret_cast %t to offset: [0], sizes: [8], strides: [1] : memref<2x4xf32> to memref<8xf32>
  call @rows(%t) : (memref<2x4xf32>) -> ()
  call @one_row(%flat) : (memref<8xf32>) -> ()
  return
}
func.func @no_queue() attributes {loop.dataflow} {
  %t = memref.alloc() {loop.stream = 2 : i64} : memref<2x4xf32>
  call @rows(%t) : (memref<2x4xf32>) -> ()
  // expected-error @+1 {{'func.call' op does not go through argument 0 once, in order, as 'loop.stream' needs; remove it}}
  call @columns(%t) : (memref<2x4xf32>) -> ()
  return
}

// -----

func.func private @read(%in: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
  }
  return
}
// expected-error @+1 {{'func.func' op gives argument 0 to several calls, of which a dataflow function may have one}}
func.func @shared(%x: memref<8xf32>) attributes {loop.dataflow} {
  call @read(%x) : (memref<8xf32>) -> ()
  call @read(%x) : (memref<8xf32>) -> ()
  return
}

// -----

func.func private @read(%in: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
  }
  return
}
func.func @disagree(%x: memref<8xf32> {loop.stream = 1 : i64}, %y: memref<8xf32>) attributes {loop.dataflow} {
  call @read(%x) : (memref<8xf32>) -> ()
  // expected-error @+1 {{'func.call' op gives an array as argument 0, which another call of the function has as a queue}}
  call @read(%y) : (memref<8xf32>) -> ()
  return
}

// -----

func.func private @read(%in: memref<8xf32> {loop.partition = {kind = "cyclic", dim = 1, factor = 4}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
  }
  return
}
func.func @banked(%x: memref<8xf32> {loop.stream = 1 : i64}) {
  // expected-error @+1 {{'func.call' op gives a queue as argument 0, which has banks; remove 'loop.partition'}}
  call @read(%x) : (memref<8xf32>) -> ()
  return
}

// -----

// Not all rows are read: elements would be left.
func.func private @some(%in: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %above = arith.cmpi uge, %i, %c0 : index
    %below = arith.cmpi ult, %i, %c7 : index
    %inside = arith.andi %above, %below : i1
    scf.if %inside {
      %x = memref.load %in[%i] : memref<8xf32>
    }
  }
  return
}
func.func @left(%x: memref<8xf32> {loop.stream = 1 : i64}) {
  // expected-error @+1 {{'func.call' op does not go through argument 0 once, in order, as 'loop.stream' needs; remove it}}
  call @some(%x) : (memref<8xf32>) -> ()
  return
}

// -----

// A range that the elements do not have.
// expected-error @+1 {{'func.func' op attribute 'loop.range' must be two integers of i8, the lower one first, got [0, 128]}}
func.func private @range(%x: memref<8xi8> {loop.range = [0, 128]}) {
  return
}

// -----

// A misspelled attribute.
func.func private @misspelled(%x: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  // expected-error @+1 {{'scf.for' op has an attribute 'loop.pipelined', which nothing reads; known: hls.inputs, hls.number_format, hls.port, loop.copies, loop.dataflow, loop.kernel, loop.partition, loop.pipeline, loop.range, loop.stream, loop.unroll}}
  scf.for %i = %c0 to %c8 step %c1 {
    %y = memref.load %x[%i] : memref<8xf32>
  } {loop.pipelined = 1 : i64}
  return
}

// -----

// expected-error @+1 {{'func.func' op has an attribute 'hls.ports', which nothing reads}}
func.func private @misspelled(%x: memref<8xf32> {hls.ports = "w"}) {
  return
}

// -----

// Banks of an argument go over rows: six elements of a step, of a weight in rows of two.
func.func private @rows(%w: memref<4x3x2xi8> {loop.partition = {dim = 3 : i64, factor = 6 : i64, kind = "cyclic"}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c3 step %c1 {
      scf.for %k = %c0 to %c2 step %c1 {
        %x = memref.load %w[%i, %j, %k] : memref<4x3x2xi8>
      } {loop.unroll = 2 : i64}
    } {loop.unroll = 3 : i64}
  } {loop.pipeline = 1 : i64}
  return
}

// -----

// An array of a kernel is no row of elements in C++: its banks are those of a dimension.
func.func private @array() {
  // expected-error @+1 {{partition factor 6 must be 2 or more and divide the size 2}}
  %w = memref.alloca() {loop.partition = {dim = 3 : i64, factor = 6 : i64, kind = "cyclic"}} : memref<4x3x2xi8>
  return
}
