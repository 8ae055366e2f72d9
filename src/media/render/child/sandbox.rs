//! The locks: what the process gives up before it sees a stranger's bytes.
//!
//! They overlap on purpose. Resource limits bound what a bomb can take; Landlock takes files and network away;
//! the system call filter leaves what decoding needs and nothing else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

#[cfg(target_os = "linux")]
#[path = "sandbox_linux.rs"]
mod system;

#[cfg(not(target_os = "linux"))]
#[path = "sandbox_other.rs"]
mod system;

pub(super) use self::system::{deny_files, deny_system_calls};

/// Locks the render process in; says which locks the system does not have.
pub(super) fn enter_for_decoding(address_space: u64) -> Vec<String> {
    let mut not_applied = Vec::new();
    let mut apply = |lock: &str, outcome: Result<(), String>| {
        if let Err(error) = outcome {
            not_applied.push(format!("{lock}: {error}"));
        }
    };
    apply("end with the server", end_with_the_server());
    apply("address space", limit(Resource::As, address_space));
    apply("no core dump", limit(Resource::Core, 0));
    apply("no new files", limit_open_files());
    apply("file access", deny_files());
    // The last one: it takes away what the others need.
    apply("system calls", deny_system_calls());
    not_applied
}

/// Locks in the process that becomes a tool: resource limits, and of Landlock and the filter at least one.
pub(super) fn enter_for_tool(
    program: &Path,
    address_space: u64,
    cpu_seconds: u64,
    file_size: u64,
) -> Result<(), String> {
    let _where_there_is_such_a_thing = end_with_the_server();
    limit(Resource::As, address_space)?;
    limit(Resource::Cpu, cpu_seconds)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, file_size)?;
    system::confine_tool(program)
}

/// Gives the next order its own allowance: the kernel counts over the whole life of the process.
pub(super) fn allow_cpu_seconds(seconds: u64) {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let until = u64::try_from(used.tv_sec).unwrap_or_default().saturating_add(1).saturating_add(seconds);
    let limits = getrlimit(Resource::Cpu);
    // Only the soft limit: the hard one can't be raised again.
    let _wall_time_holds_anyway =
        setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: limits.maximum });
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    let highest = getrlimit(resource).maximum;
    let value = highest.map_or(value, |highest| highest.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
        .map_err(|error| error.to_string())
}

/// What is open stays open, and there is room for one more: the source.
fn limit_open_files() -> Result<(), String> {
    // A copy gets the lowest free number, and so will the next file.
    let copy = io::stdin().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let free = u64::try_from(copy.as_raw_fd()).map_err(|error| error.to_string())?;
    drop(copy);
    limit(Resource::Nofile, free + 1)
}

#[cfg(target_os = "linux")]
fn end_with_the_server() -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| error.to_string())
}

#[cfg(not(target_os = "linux"))]
fn end_with_the_server() -> Result<(), String> {
    Err("the closed line has to do".to_owned())
}
