//! The program `bench-edge`.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use benches::{
    cli::{self, Command},
    failure::Failure,
    run::run,
    serve::serve,
};

/// As `promgate` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn obey() -> Result<(), Failure> {
    match cli::parse(std::env::args().skip(1))? {
        Command::Help => {
            let mut out = io::stdout();
            out.write_all(cli::HELP.as_bytes()).map_err(Failure::system("print the help"))
        }
        Command::Run(options) => run(&options),
        Command::Serve(served) => serve(&served),
    }
}

#[expect(clippy::print_stderr, reason = "the one line that says why a run failed")]
fn complain(failure: &Failure) {
    let source = failure.source().map(|source| format!(": {source}")).unwrap_or_default();
    eprintln!("bench-edge: {failure}{source}");
}
