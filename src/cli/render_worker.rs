//! `render-worker`: the process that previews are made in, and the launcher of the tools for films and documents.

use clap::Args;
use hackclub_cdn::media::render::child;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The most memory that the process may map, in bytes
    #[arg(long, default_value_t = 1 << 30)]
    address_space: u64,
    /// Say what the locks hold back on this machine, and end
    #[arg(long)]
    probe: bool,
    /// The same with Landlock alone
    #[arg(long, requires = "probe")]
    without_filter: bool,
    /// Become this program, locked in
    #[arg(long, value_name = "PROGRAM", conflicts_with = "probe")]
    tool: Option<PathBuf>,
    /// The most processor time of the program
    #[arg(long, default_value_t = 20)]
    cpu_seconds: u64,
    /// The most that the program may write into a file, in bytes
    #[arg(long, default_value_t = 64 << 20)]
    file_size: u64,
    /// The program's
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { address_space, cpu_seconds, file_size, .. } = *arguments;
    if arguments.probe {
        let lines = if arguments.without_filter {
            child::probe_without_filter()
        } else {
            child::probe(address_space)
        };
        lines.iter().for_each(|line| println!("{line}"));
        return ExitCode::SUCCESS;
    }
    match &arguments.tool {
        Some(program) => {
            child::become_tool(program, &arguments.arguments, address_space, cpu_seconds, file_size)
        }
        None => child::serve(address_space),
    }
}
