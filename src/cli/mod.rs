//! What the command line offers. Exit codes: 0 done, 1 failed or found something, 2 bad arguments.

mod check;
mod janitor;
mod log;
mod render_worker;
mod serve;
mod user;

use clap::{Parser, Subcommand};
use hackclub_cdn::{
    config::Config,
    service::{ServiceError, Services},
};
use std::{path::PathBuf, process::ExitCode};

/// A self-hosted file host and CDN: upload a file, get a link that works.
#[derive(Debug, Parser)]
#[command(
    name = "hackclub-cdn",
    version,
    after_help = "Without a command, the server runs. Every setting of the \
configuration file can also be given in the environment: CDN__SERVER__BIND=127.0.0.1:9000"
)]
pub struct CommandLine {
    /// Configuration file; default: config.toml in this folder, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Make, list and change users
    #[command(subcommand)]
    User(user::Command),
    /// Verify that counters, rows and stored bytes agree; exit code 1 when they don't
    Check {
        /// Put right what can be computed from the rows, and remove bytes that no row names
        #[arg(long)]
        repair: bool,
    },
    /// Sweep now: trash past its time, leftovers, expired sessions; exit code 1 when something is left
    Janitor {
        /// Sweep once and report
        #[arg(long, required = true)]
        once: bool,
        /// Purge also when an unusual amount of trash is due at once
        #[arg(long)]
        yes: bool,
    },
    /// Print the OpenAPI 3.1 document
    Openapi,
    /// Print the configuration in force, without secrets
    Config,
    /// Make previews for the server, which starts this itself
    #[command(hide = true)]
    RenderWorker(render_worker::Arguments),
}

/// Anything that ends a command, in words for the operator.
pub type Failure = Box<dyn std::error::Error>;

pub fn run(command_line: CommandLine) -> Result<ExitCode, Failure> {
    // Knows no settings and opens nothing.
    if let Some(Command::RenderWorker(arguments)) = &command_line.command {
        return Ok(render_worker::run(arguments));
    }
    // TLS for PostgreSQL, S3 and outgoing calls by one implementation.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::load(command_line.config.as_deref(), std::env::vars_os())?;
    config.validate()?;
    let command = command_line.command.unwrap_or(Command::Serve);
    log::start(&config.log, matches!(command, Command::Serve))?;
    match command {
        Command::Config => print!("{}", config.redacted_toml()?),
        Command::Openapi => {
            let base_url = config.server.base_url(config.server.bind);
            println!("{}", serde_json::to_string_pretty(&hackclub_cdn::http::document(&base_url))?);
        }
        Command::Serve => in_system(serve::run(config))?,
        Command::User(command) => in_system(user::run(config, command))?,
        Command::Janitor { once: _, yes } => return in_system(janitor::run(config, yes)),
        Command::Check { repair } => return in_system(check::run(config, repair)),
        Command::RenderWorker(arguments) => return Ok(render_worker::run(&arguments)),
    }
    Ok(ExitCode::SUCCESS)
}

fn in_system<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

/// Opens the services for one command, and closes them after it.
async fn with_services<T>(
    config: Config,
    work: impl AsyncFnOnce(&Services) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let services = Services::build(config).await?;
    let outcome = work(&services).await;
    services.shut_down().await;
    outcome
}

/// A service's refusal in one line.
fn in_words(error: ServiceError) -> Failure {
    match error {
        ServiceError::Invalid(fields) => {
            let lines: Vec<_> =
                fields.iter().map(|(field, errors)| format!("{field}: {}", errors.join(" "))).collect();
            lines.join("\n").into()
        }
        ServiceError::NotFound => "there is no such user".into(),
        error => error.into(),
    }
}
