// RUN: terrace-opt --set-hardware-attributes --verify-hardware-attributes %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(set-hardware-attributes{dsp=10 max-unroll=16},verify-hardware-attributes)' %s | filecheck %s --check-prefix=FEW
// RUN: not terrace-opt --pass-pipeline='builtin.module(set-hardware-attributes{max-unroll=0})' %s 2>&1 | filecheck %s --check-prefix=REFUSED

// REFUSED: needs max-unroll >= 1 and dsp >= 0, got 0 and 220

// The columns of a contraction are unrolled as far as multipliers allow; its steps wait for the additions before them.
// A loop that fills registers from memory, which has one port, is pipelined. A loop around loops is left alone.
// CHECK-LABEL: func.func private @contract
// CHECK:         } {loop.pipeline = 1 : i64}
// CHECK:         } {loop.unroll = 8 : i64}
// CHECK-NEXT:    } {loop.pipeline = 4 : i64}
// CHECK-NEXT:    }
// CHECK-NEXT:    return
// FEW-LABEL:   func.func private @contract
// FEW:           } {loop.pipeline = 1 : i64}
// FEW:           } {loop.pipeline = 1 : i64, loop.unroll = 2 : i64}
// FEW-NEXT:    }
func.func private @contract(%w: memref<16x8xf32>, %x: memref<4xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %acc = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<8xf32>
  %lhs = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xf32>
  scf.for %o = %c0 to %c4 step %c1 {
    scf.for %k = %c0 to %c4 step %c1 {
      %v = memref.load %x[%k] : memref<4xf32>
      memref.store %v, %lhs[%k] : memref<4xf32>
    }
    scf.for %k = %c0 to %c4 step %c1 {
      scf.for %n = %c0 to %c8 step %c1 {
        %l = memref.load %lhs[%k] : memref<4xf32>
        %a = memref.load %acc[%n] : memref<8xf32>
        %s = math.fma %l, %l, %a : f32
        memref.store %s, %acc[%n] : memref<8xf32>
      }
    }
  }
  return
}

// A loop that has attributes keeps them.
// CHECK-LABEL: func.func private @kept
// CHECK:         } {loop.pipeline = 3 : i64}
func.func private @kept(%x: memref<4xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %k = %c0 to %c4 step %c1 {
    %v = memref.load %x[%k] : memref<4xf32>
    memref.store %v, %x[%k] : memref<4xf32>
  } {loop.pipeline = 3 : i64}
  return
}

// Registers are filled from a local array and from a weight on chip: both are cut into as many banks as copies read them.
// The weight that other calls give as a port cannot be, nor an array whose rows are no multiple of the banks.
// CHECK-LABEL: func.func private @banks
// CHECK-SAME:    %arg0: memref<2x8xf32> {loop.partition = {dim = 2 : i64, factor = 8 : i64, kind = "cyclic"}}, %arg1: memref<2x8xf32>)
// CHECK:         memref.alloca() {loop.partition = {dim = 1 : i64, factor = 8 : i64, kind = "cyclic"}} : memref<16xf32>
// CHECK:         memref.alloca() : memref<23xf32>
// CHECK:         } {loop.unroll = 8 : i64}
// CHECK:         } {loop.pipeline = 1 : i64}
// CHECK:         } {loop.pipeline = 1 : i64}
func.func private @banks(%w: memref<2x8xf32>, %p: memref<2x8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  %local = memref.alloca() : memref<16xf32>
  %odd = memref.alloca() : memref<23xf32>
  %r = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<8xf32>
  scf.for %i = %c0 to %c2 step %c1 {
    %row = arith.muli %i, %c8 : index
    scf.for %k = %c0 to %c8 step %c1 {
      %at = arith.addi %row, %k : index
      %x = memref.load %local[%at] : memref<16xf32>
      %y = memref.load %w[%i, %k] : memref<2x8xf32>
      %z = arith.maximumf %x, %y : f32
      memref.store %z, %r[%k] : memref<8xf32>
    }
  }
  scf.for %i = %c0 to %c2 step %c1 {
    %row = arith.muli %i, %c5 : index
    scf.for %k = %c0 to %c8 step %c1 {
      %at = arith.addi %row, %k : index
      %x = memref.load %odd[%at] : memref<23xf32>
      memref.store %x, %r[%k] : memref<8xf32>
    }
    scf.for %k = %c0 to %c8 step %c1 {
      %x = memref.load %p[%i, %k] : memref<2x8xf32>
      memref.store %x, %r[%k] : memref<8xf32>
    }
  }
  return
}
memref.global "private" @weight : memref<2x8xf32> = uninitialized
func.func @main(%port: memref<2x8xf32>) attributes {hls.inputs = 1 : i64} {
  %w = memref.get_global @weight : memref<2x8xf32>
  call @banks(%w, %port) : (memref<2x8xf32>, memref<2x8xf32>) -> ()
  return
}
