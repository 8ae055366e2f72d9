//! `janitor`: one sweep now, with a report.

use super::{Failure, with_services};
use hackclub_cdn::config::Config;
use std::process::ExitCode;

pub async fn run(config: Config, is_forced: bool) -> Result<ExitCode, Failure> {
    let report = with_services(config, async move |services| Ok(services.sweep(is_forced).await?)).await?;
    if !report.leased {
        println!("another process sweeps right now; nothing was done here");
        return Ok(ExitCode::FAILURE);
    }
    println!("trash items purged:        {}", report.purged.items);
    println!("bytes freed:               {}", report.purged.bytes);
    println!("stored objects removed:    {}", report.blobs);
    println!("left by dead processes:    {}", report.reclaimed);
    println!("expired sessions cleared:  {}", report.cleared);
    for failure in &report.failures {
        println!("failed: {failure:?}");
    }
    if report.held_back > 0 {
        println!(
            "held back: {} items are due at once, which is unusual. Look at the clock, then run again with --yes.",
            report.held_back
        );
    }
    let is_done = report.failures.is_empty() && report.held_back == 0;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
