// RUN: not terrace-opt -split-input-file %s 2>%t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=ERR <%t.err
// RUN: terrace-opt --split-input-file='// other' --verify-diagnostics %s

// The parts are printed with the marker between them; a part that fails leaves the others alone, and its errors name
// the file and the line in the whole file.
// CHECK-LABEL: func.func @first
// CHECK:       // -----
// CHECK-LABEL: func.func @third
// ERR: split_input.mlir:17:3: error: 'func.return' op has 0 operands
// ERR-NEXT: {{^}}  return // here
// ERR-NEXT: {{^}}  ^

func.func @first() { return }
// -----
func.func @second() -> i32 {
  return // here
// expected-error @-1 {{has 0 operands, but enclosing function (@second) returns 1}}
}
// -----
func.func @third() { return }
