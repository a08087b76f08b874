// RUN: terrace-opt --set-dataflow --verify-hardware-attributes --split-input-file %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(set-dataflow{interface=axis},verify-hardware-attributes)' --split-input-file %s | filecheck %s --check-prefix=AXIS
// RUN: terrace-opt --pass-pipeline='builtin.module(set-dataflow{bram=0},verify-hardware-attributes)' --split-input-file %s | filecheck %s --check-prefix=SMALL

// Rows are written, and read as rows inside a border of zeros: a queue. Columns are read of the other buffer: an array.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    attributes {hls.inputs = 1 : i64, loop.dataflow}
// CHECK:         %[[QUEUE:.*]] = memref.alloc() {loop.stream = 2 : i64} : memref<4x64xf32>
// CHECK:         %[[ARRAY:.*]] = memref.alloc() : memref<4x64xf32>
// Ports that are gone through in order are queues, too, if the interface says so.
// AXIS-LABEL:  func.func @main(%arg0: memref<4x64xf32> {loop.stream = 1 : i64}, %arg1: memref<4x64xf32> {loop.stream = 1 : i64})
// The array is there twice, but the queue takes no block: no more than before.
// SMALL-LABEL: func.func @main
// SMALL-SAME:    loop.dataflow
func.func private @rows(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      %x = memref.load %in[%i, %j] : memref<4x64xf32>
      memref.store %x, %out[%i, %j] : memref<4x64xf32>
    }
  }
  return
}
func.func private @bordered(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c6 = arith.constant 6 : index
  %c64 = arith.constant 64 : index
  %local = memref.alloca() : memref<6x64xf32>
  scf.for %i = %c0 to %c6 step %c1 {
    %above = arith.cmpi uge, %i, %c1 : index
    %below = arith.cmpi ult, %i, %c5 : index
    %inside = arith.andi %above, %below : i1
    scf.if %inside {
      %row = arith.subi %i, %c1 : index
      scf.for %j = %c0 to %c64 step %c1 {
        %x = memref.load %in[%row, %j] : memref<4x64xf32>
        memref.store %x, %local[%i, %j] : memref<6x64xf32>
      }
    }
  }
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      %x = memref.load %local[%i, %j] : memref<6x64xf32>
      memref.store %x, %out[%i, %j] : memref<4x64xf32>
    }
  }
  return
}
func.func private @columns(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %local = memref.alloca() : memref<4x64xf32>
  scf.for %j = %c0 to %c64 step %c1 {
    scf.for %i = %c0 to %c4 step %c1 {
      %x = memref.load %in[%i, %j] : memref<4x64xf32>
      memref.store %x, %local[%i, %j] : memref<4x64xf32>
    }
  }
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      %x = memref.load %local[%i, %j] : memref<4x64xf32>
      memref.store %x, %out[%i, %j] : memref<4x64xf32>
    }
  }
  return
}
func.func @main(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {hls.inputs = 1 : i64} {
  %a = memref.alloc() : memref<4x64xf32>
  call @rows(%in, %a) : (memref<4x64xf32>, memref<4x64xf32>) -> ()
  %b = memref.alloc() : memref<4x64xf32>
  call @bordered(%a, %b) : (memref<4x64xf32>, memref<4x64xf32>) -> ()
  call @columns(%b, %out) : (memref<4x64xf32>, memref<4x64xf32>) -> ()
  return
}

// -----

// A function that is called with a queue must always be; here its other call reads what another call reads, too.
// CHECK-LABEL: func.func @main
// CHECK-NOT:     loop.
// CHECK:         return
func.func private @copy(%in: memref<8xf32>, %out: memref<8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
    memref.store %x, %out[%i] : memref<8xf32>
  }
  return
}
func.func @main(%in: memref<8xf32>, %out: memref<8xf32>, %other: memref<8xf32>) attributes {hls.inputs = 1 : i64} {
  %a = memref.alloc() : memref<8xf32>
  call @copy(%in, %a) : (memref<8xf32>, memref<8xf32>) -> ()
  call @copy(%a, %out) : (memref<8xf32>, memref<8xf32>) -> ()
  call @copy(%a, %other) : (memref<8xf32>, memref<8xf32>) -> ()
  return
}

// -----

// Arrays that would be there twice must fit the device.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    loop.dataflow
// SMALL-LABEL: func.func @main
// SMALL-NOT:     loop.
// SMALL:         return
func.func private @columns(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %local = memref.alloca() : memref<4x64xf32>
  scf.for %j = %c0 to %c64 step %c1 {
    scf.for %i = %c0 to %c4 step %c1 {
      %x = memref.load %in[%i, %j] : memref<4x64xf32>
      memref.store %x, %local[%i, %j] : memref<4x64xf32>
    }
  }
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      %x = memref.load %local[%i, %j] : memref<4x64xf32>
      memref.store %x, %out[%i, %j] : memref<4x64xf32>
    }
  }
  return
}
func.func @main(%in: memref<4x64xf32>, %out: memref<4x64xf32>) attributes {hls.inputs = 1 : i64} {
  %a = memref.alloc() : memref<4x64xf32>
  call @columns(%in, %a) : (memref<4x64xf32>, memref<4x64xf32>) -> ()
  call @columns(%a, %out) : (memref<4x64xf32>, memref<4x64xf32>) -> ()
  return
}
