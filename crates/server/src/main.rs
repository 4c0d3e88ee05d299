//! `countersign`, the server program.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    countersign_server::cli::main()
}
