// RUN: terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize,cse),simplify-graph,func.func(cse))' --mlir-timing %s 2>&1 >/dev/null | filecheck %s
// RUN: terrace-opt --cse %s 2>&1 >/dev/null | filecheck %s --check-prefix=QUIET --allow-empty

// Each pass has a row, ours and upstream's; one that runs twice has one row. All goes to stderr, and only if asked for.
// CHECK: ... Execution time report ...
// CHECK: Total Execution Time: {{[0-9.]+}} seconds
// CHECK: ----Wall Time----  ----Name----
// CHECK-NEXT: {{[0-9.]+}} ({{ *[0-9.]+}}%)  Parser
// CHECK-NEXT: func.func(canonicalize)
// CHECK-NEXT: func.func(cse)
// CHECK-NEXT: simplify-graph
// CHECK-NEXT: Output
// CHECK-NEXT: (100.0%)  Total
// QUIET-NOT: Execution
func.func @f() { return }
