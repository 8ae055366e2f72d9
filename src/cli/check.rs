//! `check`: the invariants, verified.

use super::{Failure, with_services};
use hackclub_cdn::config::Config;
use std::process::ExitCode;

pub async fn run(config: Config, repair: bool) -> Result<ExitCode, Failure> {
    let report = with_services(config, async move |services| Ok(services.check(repair).await?)).await?;
    for problem in &report.problems {
        println!("{problem}");
    }
    let found = report.problems.len();
    println!("{} stored objects checked, {found} problems, {} repaired", report.objects, report.repaired);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
