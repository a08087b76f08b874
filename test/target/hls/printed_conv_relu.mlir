// RUN: terrace-opt --pass-pipeline='convert-graph-to-kernel,schedule-kernels-for-hls,convert-kernel-to-loop,require-kernels,lower-tiles-to-arrays,convert-loop-to-hls,canonicalize,cse,set-hardware-attributes,verify-hardware-attributes' %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s

// A padded convolution copies its input, with zeros around it, into local memory; relu is a part of its last loop.
// CHECK:      void conv2d_relu_1x8x8x4(const float a0[128], const float a1[72], float a2[256]) {
// CHECK:        float [[LOCAL:t[0-9]+]][10][10][2];
// CHECK:            [[LOCAL]]{{.*}} = 0.0f;
// CHECK:            [[LOCAL]]{{.*}} = a0[
// CHECK:        for (int i0 = 0; i0 < 8; i0 += 1) {
// CHECK:          for (int i1 = 0; i1 < 8; i1 += 1) {
// CHECK:            for (int i2 = 0; i2 < 3; i2 += 1) {
// CHECK-NEXT:         {{.*}}for (int i3 = 0; i3 < 3; i3 += 1) {
// CHECK-NEXT:          const int [[Y:n[0-9]+]] = i0 + i2;
// CHECK-NEXT:          const int [[X:n[0-9]+]] = i1 + i3;
// CHECK:                 {{.*}} = [[LOCAL]]{{\[}}[[Y]]{{\]\[}}[[X]]{{\]\[}}i4];
// CHECK:                {{.*}} = op::fma({{.*}});
// CHECK:            {{.*}}a2[i0 * 32 + i1 * 4 + i2] = ({{.*}} < 0.0f) ? 0.0f : {{.*}};
func.func @main(%x: tensor<1x8x8x2xf32>, %w: tensor<4x2x3x3xf32>) -> tensor<1x8x8x4xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.conv2d"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NHWC", padding = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x8x2xf32>, tensor<4x2x3x3xf32>) -> tensor<1x8x8x4xf32>
    %2 = "graph.relu"(%1) : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32>
    "graph.yield"(%2) : (tensor<1x8x8x4xf32>) -> ()
  }) : () -> tensor<1x8x8x4xf32>
  return %0 : tensor<1x8x8x4xf32>
}
