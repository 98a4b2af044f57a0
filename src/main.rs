//! Parse, run, exit code.

use std::process::ExitCode;

/// The system's allocator returns memory slowly under many small bodies on many threads; this one
/// does not. Without huge pages (`no_thp`): each thread's first page would be 2 MiB of memory that
/// a small gate never uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    burngate::cli::main()
}
