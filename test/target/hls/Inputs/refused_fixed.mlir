module attributes {hls.number_format = "ap_fixed<16,6>"} {
func.func @main(%x: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  // NaN
  %0 = arith.constant 0x7FC00000 : f32
  memref.store %0, %x[%c0] : memref<4xf32>
  return
}
}
