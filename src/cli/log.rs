//! Logging: text on a terminal, JSON lines otherwise.

use super::Failure;
use hackclub_cdn::config::{LogConfig, LogFormat};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error; commands other than the server's log warnings only.
pub fn start(config: &LogConfig, is_server: bool) -> Result<(), Failure> {
    let level = if is_server { config.level.as_str() } else { "warn" };
    let filter = EnvFilter::try_new(level).map_err(|error| format!("log.level: {error}"))?;
    let is_json = match config.format {
        LogFormat::Auto => is_server && !stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if is_json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        builder.with_ansi(stderr().is_terminal()).init();
    }
    Ok(())
}
