// RUN: terrace-compile --target vulkan --gpu llvmpipe --emit iree %s | filecheck %s --check-prefix=LAVAPIPE
// RUN: terrace-compile --target vulkan --gpu ampere --emit iree %s | filecheck %s --check-prefix=AMPERE
// RUN: terrace-compile --target vulkan --gpu vp_android_baseline_2022 --emit iree %s | filecheck %s --check-prefix=ANDROID

// A workgroup per row reads it three times, as the cost model says: for the maximum, the sum and the result. Each
// invocation reduces what it holds, then all of them through a number each in workgroup memory (space 3).

// 64 invocations, two rounds of four elements each.
// LAVAPIPE:         [[ROWS:%[0-9]+]] = "arith.constant"() <{value = 256 : index}>
// LAVAPIPE:         "stream.return"([[ROWS]],
// LAVAPIPE:         "memref.alloc"() {{.*}} -> memref<64xf32, 3 : i32>
// LAVAPIPE:         "scf.for"
// LAVAPIPE-COUNT-4: "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// LAVAPIPE:         "gpu.barrier"
// LAVAPIPE-NEXT:    "memref.store"({{.*}} memref<64xf32, 3 : i32>
// LAVAPIPE-NEXT:    "gpu.barrier"
// LAVAPIPE:         "scf.for"
// LAVAPIPE-COUNT-4: "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// LAVAPIPE-COUNT-4: "math.exp"
// LAVAPIPE:         "scf.for"
// LAVAPIPE-COUNT-4: "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// LAVAPIPE-COUNT-4: "memref.store"({{.*}} strided<[512, 1], offset: ?>>
// LAVAPIPE-NOT:     "memref.load"
// LAVAPIPE:         workgroup_size = [64, 1, 1] subgroup_size = 8>

// 256 invocations hold a row, two elements each: no loop.
// AMPERE:           "memref.alloc"() {{.*}} -> memref<256xf32, 3 : i32>
// AMPERE-NOT:       "scf.for"
// AMPERE-COUNT-2:   "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// AMPERE-NEXT:      "arith.cmpf"
// AMPERE:           "arith.select"
// AMPERE:           "gpu.barrier"
// AMPERE-COUNT-2:   "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// AMPERE-COUNT-2:   "math.exp"
// AMPERE-COUNT-2:   "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// AMPERE-COUNT-2:   "math.exp"
// AMPERE-COUNT-2:   "memref.store"({{.*}} strided<[512, 1], offset: ?>>
// AMPERE-NOT:       "memref.load"
// AMPERE:           workgroup_size = [256, 1, 1] subgroup_size = 32>

// No more invocations than there may be, in two subgroups.
// ANDROID:          "memref.alloc"() {{.*}} -> memref<128xf32, 3 : i32>
// ANDROID-COUNT-4:  "memref.load"({{.*}} strided<[512, 1], offset: ?>>
// ANDROID-NEXT:     "arith.cmpf"
// ANDROID:          "arith.select"
// ANDROID:          workgroup_size = [128, 1, 1] subgroup_size = 64>
func.func @main(%x: tensor<256x512xf32>) -> tensor<256x512xf32> {
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<256x512xf32>) -> tensor<256x512xf32>
  return %0 : tensor<256x512xf32>
}
