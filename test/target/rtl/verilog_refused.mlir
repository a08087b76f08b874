// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// CHECK: // divides has no SystemVerilog: -:14:8: error: 'arith.ceildivsi' op has no circuit here; lower it first, or simulate the C++ only
// CHECK: // floats has no SystemVerilog: {{.*}} 'arith.addf' op computes with floating point, which has no circuit here; quantize the model
// CHECK: // carries has no SystemVerilog: {{.*}} 'scf.for' op carries values from one iteration to the next, and has no circuit here
// CHECK: // depends has no SystemVerilog: {{.*}} 'scf.for' op has bounds that are not constant, and has no circuit here
// CHECK: // chooses has no SystemVerilog: {{.*}} 'scf.if' op takes 1 or 8 cycles, by a value that is not known before it runs
// CHECK: // nests has no SystemVerilog: {{.*}} 'scf.for' op stands in a pipelined loop, so it must be unrolled whole (loop.unroll = trip count)
// CHECK: // cut has no SystemVerilog: {{.*}} 'func.func' op has a memory cut in single elements, which a circuit has registers for; name one dim
// CHECK: // looks_up has no SystemVerilog: {{.*}} 'memref.get_global' op reads @weight, which is no table of constants of the module
func.func private @divides(%a: memref<8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %x = memref.load %a[%c0] : memref<8xi32>
  %y = arith.ceildivsi %x, %x : i32
  memref.store %y, %a[%c0] : memref<8xi32>
  return
}
func.func private @floats(%a: memref<8xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %x = memref.load %a[%c0] : memref<8xf32>
  %y = arith.addf %x, %x : f32
  memref.store %y, %a[%c0] : memref<8xf32>
  return
}
func.func private @carries(%a: memref<8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %x = memref.load %a[%c0] : memref<8xi32>
  %y = scf.for %i = %c0 to %c8 step %c1 iter_args(%s = %x) -> i32 {
    %t = arith.addi %s, %s : i32
    scf.yield %t : i32
  }
  memref.store %y, %a[%c0] : memref<8xi32>
  return
}
func.func private @depends(%a: memref<8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.load %a[%c0] : memref<8xi32>
  %n = arith.index_cast %x : i32 to index
  scf.for %i = %c0 to %n step %c1 {
    memref.store %x, %a[%i] : memref<8xi32>
  }
  return
}
func.func private @chooses(%a: memref<8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i32
  %x = memref.load %a[%c0] : memref<8xi32>
  %c = arith.cmpi slt, %x, %zero : i32
  scf.if %c {
    scf.for %i = %c0 to %c8 step %c1 {
      memref.store %zero, %a[%i] : memref<8xi32>
    } {loop.pipeline = 1 : i64}
  }
  return
}
func.func private @nests(%a: memref<8x8xi32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0 : i32
  scf.for %i = %c0 to %c8 step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      memref.store %zero, %a[%i, %j] : memref<8x8xi32>
    }
  } {loop.pipeline = 1 : i64}
  return
}
func.func private @cut(%a: memref<8x8xi32> {loop.partition = {dim = 0 : i64, kind = "complete"}}) attributes {loop.kernel} {
  return
}
memref.global "private" constant @weight : memref<4xi8> = uninitialized
func.func private @looks_up(%a: memref<4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %t = memref.get_global @weight : memref<4xi8>
  %x = memref.load %t[%c0] : memref<4xi8>
  memref.store %x, %a[%c0] : memref<4xi8>
  return
}
