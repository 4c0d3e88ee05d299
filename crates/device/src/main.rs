//! `countersign-device`: a software phone, a console terminal, and a player for tests.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
