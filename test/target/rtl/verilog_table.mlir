// RUN: %python %S/Inputs/print_verilog.py %s | filecheck %s

// A table of constants is read-only memory, whose element comes a cycle after its address.
// CHECK-LABEL: module looks_up(
// CHECK:         reg {{.*}}[7:0] table1[0:3];
// CHECK:         initial begin
// CHECK-NEXT:      table1[2'h0] = 8'h1;
// CHECK-NEXT:      table1[2'h1] = 8'hFF;
// CHECK:         table1_data <= table1[
memref.global "private" constant @table : memref<4xi8> = dense<[1, -1, 3, 4]>
func.func private @looks_up(%i: memref<4xi8>, %a: memref<4xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %t = memref.get_global @table : memref<4xi8>
  scf.for %n = %c0 to %c4 step %c1 {
    %x = memref.load %i[%n] : memref<4xi8>
    %p = arith.index_cast %x : i8 to index
    %y = memref.load %t[%p] : memref<4xi8>
    memref.store %y, %a[%n] : memref<4xi8>
  } {loop.pipeline = 1 : i64}
  return
}
