// RUN: terrace-opt --pass-pipeline='func.func(canonicalize),symbol-dce' --mlir-print-ir-after-all %s 2>&1 >/dev/null | FileCheck %s
// RUN: terrace-opt --mlir-print-op-generic %s | FileCheck %s --check-prefix=GENERIC
// RUN: terrace-opt --mlir-print-debuginfo %s | FileCheck %s --check-prefix=LOC
// RUN: terrace-opt --mlir-print-debuginfo --mlir-print-local-scope %s | FileCheck %s --check-prefix=LOCAL
// RUN: terrace-opt --mlir-elide-elementsattrs-if-larger=2 %s | FileCheck %s --check-prefix=ELIDE

// CHECK: // -----// IR Dump After func.func(canonicalize) //----- //
// CHECK: func.func private @unused
// CHECK: // -----// IR Dump After symbol-dce //----- //
// CHECK-NOT: @unused
// GENERIC: "func.func"() <{
// LOC: loc("{{.*}}print_ir.mlir":15:1)
// LOCAL: arith.constant {{.*}} loc("{{.*}}print_ir.mlir":16:8)
// ELIDE: dense_resource<__elided__>
func.func @f() -> tensor<3xi32> {
  %0 = arith.constant dense<[1, 2, 3]> : tensor<3xi32>
  return %0 : tensor<3xi32>
}

func.func private @unused()
