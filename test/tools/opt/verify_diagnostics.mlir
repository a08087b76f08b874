// RUN: terrace-opt -verify-diagnostics -split-input-file %s
// RUN: terrace-opt --verify-diagnostics=only-expected --split-input-file %s

// Each way to name a line; several comments may stand in a row.
func.func @next_line() -> i32 {
  // expected-error @+1 {{has 0 operands}}
  return
}

// -----

func.func @same_line() -> i32 {
  return // expected-error {{has 0 operands}}
}

// -----

func.func @previous_line() -> i32 {
  return
  // expected-error@-1 {{but enclosing function (@previous_line) returns 1}}
}

// -----

func.func @above() -> i32 {
  return
  // expected-error @above {{has 0 operands}}
}

// -----

// expected-note @+1 {{prior use here}}
func.func @below(%x: i32) -> i64 {
  // expected-error @below {{use of value '%x' expects different type}}
  return %x : i64
}

// -----

// expected-error @+1 {{expected SSA operand}}
func.func @syntax() { arith.addi }

// -----

// With -re, what stands inside {{ }} again is a regular expression.
func.func @regular() -> i32 {
  // expected-error-re @+1 {{has {{[0-9]}} operands, but {{.*}}(@regular)}}
  return
}
