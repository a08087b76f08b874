// RUN: terrace-opt --pass-pipeline='builtin.module(use-tuned-schedules{records=%S/Inputs/tuned.json},schedule-kernels)' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(use-tuned-schedules,schedule-kernels)' %s | filecheck %s --check-prefix=NONE
// RUN: not terrace-opt --pass-pipeline='builtin.module(use-tuned-schedules{records=%s})' %s 2>&1 | filecheck %s --check-prefix=FILE

// A kernel that has a record, whatever its name is.
// CHECK-LABEL: func.func private @tuned
// CHECK-NEXT:    memory = "register", order = ["d0"], sizes = array<i64: 128>
// NONE-LABEL:  func.func private @tuned
// NONE-NEXT:     memory = "register", order = ["d0"], sizes = array<i64: 64>

// Another kernel is the cost model's.
// CHECK-LABEL: func.func private @unknown
// CHECK-NEXT:    memory = "register", order = ["d0"], sizes = array<i64: 64>

// A schedule that is there stays.
// CHECK-LABEL: func.func private @scheduled
// CHECK-NEXT:    memory = "register", order = ["d0"], sizes = array<i64: 16>

// FILE: use_tuned_schedules.mlir holds no tuning records: {{.*}}; name another file, or delete this one to tune anew
module attributes {terrace.target = {cpu = {}, features = ["avx512f"], name = "cpu", threads = 1 : i64}} {
  func.func private @tuned(%x: tensor<1024xf32>) -> tensor<1024xf32> {
    "kernel.schedule"() {generator = "elementwise", schedule = {},
      iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 1024>}} : () -> ()
    %0 = "graph.relu"(%x) : (tensor<1024xf32>) -> tensor<1024xf32>
    return %0 : tensor<1024xf32>
  }
  func.func private @unknown(%x: tensor<1024xf32>) -> tensor<1024xf32> {
    "kernel.schedule"() {generator = "elementwise", schedule = {},
      iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 1024>}} : () -> ()
    %0 = "graph.abs"(%x) : (tensor<1024xf32>) -> tensor<1024xf32>
    return %0 : tensor<1024xf32>
  }
  func.func private @scheduled(%x: tensor<1024xf32>) -> tensor<1024xf32> {
    "kernel.schedule"() {generator = "elementwise",
      schedule = {cuts = [{memory = "register", order = ["d0"], sizes = array<i64: 16>}]},
      iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 1024>}} : () -> ()
    %0 = "graph.relu"(%x) : (tensor<1024xf32>) -> tensor<1024xf32>
    return %0 : tensor<1024xf32>
  }
}
