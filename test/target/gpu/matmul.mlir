// RUN: terrace-compile --target vulkan --gpu llvmpipe --emit iree %s | filecheck %s --check-prefix=LAVAPIPE
// RUN: terrace-compile --target vulkan --gpu ampere --emit iree %s | filecheck %s --check-prefix=AMPERE
// RUN: terrace-compile --target vulkan --gpu valhall4 --emit iree %s | filecheck %s --check-prefix=VALHALL

// A tile of the result per workgroup; blocks of 16 along k of both operands pass through workgroup memory (space 3).
// The cost model says k/n + k/m global loads per output for a tile of m by n. An invocation has 16 outputs, so of each
// block of k it loads 16 * (16/n + 16/m) elements. A step of the loop within a block is a multiply-add
// for each of the 16, from 4 rows and 4 columns.

// Tiles of 32 by 32 on 64 invocations: 16 loads.
// LAVAPIPE:          "memref.alloc"() {{.*}} -> memref<16x32xf32, 3 : i32>
// LAVAPIPE:          "memref.alloc"() {{.*}} -> memref<32x16xf32, 3 : i32>
// LAVAPIPE:          "scf.for"
// LAVAPIPE-COUNT-8:  "memref.load"({{.*}} : (memref<256x128xf32, strided<[128, 1], offset: ?>>
// LAVAPIPE-COUNT-8:  "memref.load"({{.*}} : (memref<128x192xf32, strided<[192, 1], offset: ?>>
// LAVAPIPE-NEXT:     "gpu.barrier"
// LAVAPIPE-COUNT-16: "memref.store"({{.*}} 3 : i32>
// LAVAPIPE-NEXT:     "gpu.barrier"
// LAVAPIPE:          "scf.for"
// LAVAPIPE-NOT:      strided
// LAVAPIPE-COUNT-8:  "memref.load"({{.*}} 3 : i32>
// LAVAPIPE-COUNT-16: "math.fma"
// LAVAPIPE-NOT:      "math.fma"
// LAVAPIPE-COUNT-16: "memref.store"({{.*}} memref<256x192xf32
// LAVAPIPE-NOT:      "memref.store"
// LAVAPIPE:          workgroup_size = [64, 1, 1] subgroup_size = 8>

// Tiles of 64 by 64 on 256 invocations: 8 loads.
// AMPERE:            "memref.alloc"() {{.*}} -> memref<16x64xf32, 3 : i32>
// AMPERE:            "memref.alloc"() {{.*}} -> memref<64x16xf32, 3 : i32>
// AMPERE:            "scf.for"
// AMPERE-COUNT-4:    "memref.load"({{.*}} : (memref<256x128xf32, strided<[128, 1], offset: ?>>
// AMPERE-COUNT-4:    "memref.load"({{.*}} : (memref<128x192xf32, strided<[192, 1], offset: ?>>
// AMPERE-NEXT:       "gpu.barrier"
// AMPERE-COUNT-8:    "memref.store"({{.*}} 3 : i32>
// AMPERE-NEXT:       "gpu.barrier"
// AMPERE:            "scf.for"
// AMPERE-NOT:        strided
// AMPERE-COUNT-8:    "memref.load"({{.*}} 3 : i32>
// AMPERE-COUNT-16:   "math.fma"
// AMPERE-NOT:        "math.fma"
// AMPERE-COUNT-16:   "memref.store"({{.*}} memref<256x192xf32
// AMPERE:            workgroup_size = [256, 1, 1] subgroup_size = 32>

// Tiles of 32 by 64 on 128 invocations: 12 loads.
// VALHALL:           "memref.alloc"() {{.*}} -> memref<16x64xf32, 3 : i32>
// VALHALL:           "memref.alloc"() {{.*}} -> memref<32x16xf32, 3 : i32>
// VALHALL:           "scf.for"
// VALHALL-COUNT-4:   "memref.load"({{.*}} : (memref<256x128xf32, strided<[128, 1], offset: ?>>
// VALHALL-COUNT-8:   "memref.load"({{.*}} : (memref<128x192xf32, strided<[192, 1], offset: ?>>
// VALHALL-NEXT:      "gpu.barrier"
// VALHALL-COUNT-12:  "memref.store"({{.*}} 3 : i32>
// VALHALL-NEXT:      "gpu.barrier"
// VALHALL:           workgroup_size = [128, 1, 1] subgroup_size = 16>
func.func @main(%x: tensor<256x128xf32>, %y: tensor<128x192xf32>) -> tensor<256x192xf32> {
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<256x128xf32>, tensor<128x192xf32>) -> tensor<256x192xf32>
  return %0 : tensor<256x192xf32>
}
