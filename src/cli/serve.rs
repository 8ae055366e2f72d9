//! Runs the server; on the first start makes the first administrator.

use super::Failure;
use hackclub_cdn::{config::Config, service::accounts::FIRST_ADMIN_EMAIL, startup::Application};
use std::path::PathBuf;

pub async fn run(config: Config, path: Option<PathBuf>) -> Result<(), Failure> {
    let reload = move || Config::load(path.as_deref(), std::env::vars_os());
    let application = Application::build(config).await?.reload_with(reload);
    let url = application.base_url().to_owned();
    if let Some(password) = application.services().create_first_admin().await? {
        // Printed once, on standard output: the log may be kept, this must not be.
        println!("First start: an administrator has been made. This password is not shown again.");
        println!("  e-mail:   {FIRST_ADMIN_EMAIL}");
        println!("  password: {password}");
        println!();
    }
    println!("Serving on {url}  (API: {url}/api/docs/)");
    application.run_until_stopped().await?;
    Ok(())
}
