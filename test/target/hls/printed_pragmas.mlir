// RUN: terrace-opt --verify-hardware-attributes %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s

// Every hardware attribute has its pragma; comparisons keep what they mean for NaN; a condition is an if.
// CHECK:      void fill(hls::stream<float> &a0) {
// CHECK-NEXT:   float t1[4][8];
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=t1 type=block factor=2 dim=2
// CHECK-NEXT:   loop_1: for (int i0 = 0; i0 < 8; i0 += 1) {
// CHECK-NEXT: #pragma HLS PIPELINE II=2
// CHECK-NEXT: #pragma HLS UNROLL factor=4
// CHECK-NEXT:     const float [[X:v[0-9]+]] = t1[0][i0];
// CHECK-NEXT:     const float [[Y:v[0-9]+]] = maximum([[X]], 0.5f);
// CHECK-NEXT:     a0.write((!([[X]] <= [[Y]])) ? INFINITY : op::exp([[Y]]));
// CHECK-NEXT:   }
// CHECK-NEXT: }
// CHECK:      void read(hls::stream<float> &a0, float a1[8]) {
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=a1 type=cyclic factor=4 dim=1
// CHECK:          const float [[Z:v[0-9]+]] = a0.read();
// CHECK-NEXT:     if (i0 < 3) {
// CHECK-NEXT:       a1[i0] = [[Z]];
// CHECK-NEXT:     }
// CHECK:      void model(float output0[8]) {
// CHECK-NEXT: #pragma HLS DATAFLOW
// CHECK:        static hls::stream<float> [[BUFFER:buffer[0-9]+]];
// CHECK-NEXT: #pragma HLS STREAM variable=[[BUFFER]] depth=2
// CHECK-NEXT:   fill([[BUFFER]]);
// CHECK-NEXT:   read([[BUFFER]], output0_banks);
func.func private @fill(%out: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %half = arith.constant 0.5 : f32
  %infinite = arith.constant 0x7F800000 : f32
  %t = memref.alloca() {loop.partition = {kind = "block", dim = 2, factor = 2}} : memref<4x8xf32>
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %t[%c0, %i] : memref<4x8xf32>
    %y = arith.maximumf %x, %half : f32
    %c = arith.cmpf ugt, %x, %y : f32
    %e = math.exp %y : f32
    %r = arith.select %c, %infinite, %e : f32
    memref.store %r, %out[%i] : memref<8xf32>
  } {loop.pipeline = 2 : i64, loop.unroll = 4 : i64}
  return
}
func.func private @read(%in: memref<8xf32>, %out: memref<2x4xf32> {loop.partition = {kind = "cyclic", dim = 2, factor = 4}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %x = memref.load %in[%i] : memref<8xf32>
    %c = arith.cmpi slt, %i, %c3 : index
    scf.if %c {
      memref.store %x, %out[%c0, %i] : memref<2x4xf32>
    }
  }
  return
}
func.func @main(%out: memref<2x4xf32>) attributes {loop.dataflow} {
  %t = memref.alloc() {loop.stream = 2 : i64} : memref<8xf32>
  call @fill(%t) : (memref<8xf32>) -> ()
  call @read(%t, %out) : (memref<8xf32>, memref<2x4xf32>) -> ()
  return
}
