//! Parse, run, exit code.

use std::process::ExitCode;

/// The system's allocator returns memory slowly under many small bodies on many threads; this one does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    burngate::cli::main()
}
