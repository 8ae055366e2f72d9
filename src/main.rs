//! The command line: `serve` and what an operator needs beside it.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Reads FAILPOINTS in test builds; without the feature this does nothing.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    let command_line = cli::CommandLine::parse();
    match cli::run(command_line) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
