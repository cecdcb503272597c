//! The program `promgate`.

use std::process::ExitCode;

/// Faster than the system's allocator under many threads, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, since libraries that find no provider choose one, or panic. It fails only when
    // one is installed already, and nothing ran before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    promgate::cli::main(std::env::args_os())
}
