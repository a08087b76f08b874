// RUN: not terrace-opt -verify-diagnostics -split-input-file %s 2>&1 >/dev/null | FileCheck %s
// RUN: not terrace-opt -verify-diagnostics=only-expected -split-input-file %s 2>&1 >/dev/null | FileCheck %s --check-prefix=ONLY
// RUN: not terrace-opt -verify-diagnostics=some %s 2>&1 | FileCheck %s --check-prefix=USAGE

// An error that nobody expects, one on another line, one with another text, one of another severity, and one that is
// not there: each fails the run. So does a comment that is no expectation.
// USAGE: flag '--verify-diagnostics' takes 'all' or 'only-expected', but got 'some'

// CHECK: verify_diagnostics_fails.mlir:10: error: malformed expectation
// expected-error {missing brace}
func.func @malformed() { return } // a comment on expected-error is none

// -----

// CHECK: verify_diagnostics_fails.mlir:17:3: error: unexpected error: 'func.return' op has 0 operands
func.func @unexpected() -> i32 {
  return
}

// -----

// CHECK: verify_diagnostics_fails.mlir:25:3: error: unexpected error: 'func.return' op has 0 operands
func.func @wrong_line() -> i32 {
  // expected-error {{has 0 operands}}
  return
}

// -----

// CHECK: verify_diagnostics_fails.mlir:33:3: error: unexpected error: 'func.return' op has 0 operands
func.func @wrong_text() -> i32 {
  // expected-error @+1 {{has 1 operand}}
  return
}

// -----

// CHECK: verify_diagnostics_fails.mlir:41:3: error: unexpected error: 'func.return' op has 0 operands
func.func @wrong_severity() -> i32 {
  // expected-warning @+1 {{has 0 operands}}
  return
}

// -----

// expected-error @+1 {{never said}}
func.func @missing() { return }

// CHECK: verify_diagnostics_fails.mlir:24: error: expected error "has 0 operands" was not produced at line 24
// CHECK: error: expected error "has 1 operand" was not produced
// CHECK: error: expected warning "has 0 operands" was not produced
// CHECK: verify_diagnostics_fails.mlir:46: error: expected error "never said" was not produced at line 47
// ONLY-NOT: unexpected
// ONLY: expected error "never said" was not produced
