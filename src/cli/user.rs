//! `user`: accounts from the operator's side.

use super::{Failure, in_words, with_services};
use clap::Subcommand;
use hackclub_cdn::{
    config::Config,
    service::{Services, accounts::NewUser},
};
use std::io::{BufRead, IsTerminal, stdin};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user; without --password-stdin a password is made and printed
    Add {
        email: String,
        #[arg(long)]
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Quota tier; default: quota.default_tier
        #[arg(long)]
        tier: Option<String>,
        #[arg(long)]
        admin: bool,
    },
    /// List all users
    List,
    /// Set a user's password; ends all their sessions
    Passwd {
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Put a user into another quota tier
    SetTier { email: String, tier: String },
    /// Keep a user out; ends all their sessions
    Disable { email: String },
    /// Let a disabled user in again
    Enable { email: String },
}

pub async fn run(config: Config, command: Command) -> Result<(), Failure> {
    with_services(config, async move |services| act(services, command).await).await
}

async fn act(services: &Services, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { email, name, password_stdin, tier, admin } => {
            let (password, is_made) = choose_password(password_stdin)?;
            let user = NewUser {
                email: email.clone(),
                name,
                password: Some(password.clone()),
                tier,
                is_admin: admin,
            };
            let id = services.create_user(user).await.map_err(in_words)?;
            println!("user {id}: {email}");
            if is_made {
                println!("password: {password}");
            }
        }
        Command::List => list(services).await?,
        Command::Passwd { email, password_stdin } => {
            let (password, is_made) = choose_password(password_stdin)?;
            let user = services.find_user_by_email(&email).await.map_err(in_words)?;
            services.force_password(user.id(), password.clone()).await.map_err(in_words)?;
            if is_made {
                println!("password: {password}");
            }
        }
        Command::SetTier { email, tier } => {
            let user = services.find_user_by_email(&email).await.map_err(in_words)?;
            services.set_tier(user.id(), tier).await.map_err(in_words)?;
        }
        Command::Disable { email } => set_active(services, &email, false).await?,
        Command::Enable { email } => set_active(services, &email, true).await?,
    }
    Ok(())
}

async fn set_active(services: &Services, email: &str, is_active: bool) -> Result<(), Failure> {
    let user = services.find_user_by_email(email).await.map_err(in_words)?;
    services.set_active(user.id(), is_active).await.map_err(in_words)
}

async fn list(services: &Services) -> Result<(), Failure> {
    println!("{:>6}  {:<32}  {:<24}  {:<12}  state", "id", "e-mail", "name", "tier");
    for user in services.db.list_users().await? {
        let state = match (user.is_active, user.is_admin) {
            (false, _) => "disabled",
            (true, true) => "admin",
            (true, false) => "",
        };
        println!("{:>6}  {:<32}  {:<24}  {:<12}  {state}", user.id, user.email, user.name, user.tier);
    }
    Ok(())
}

/// The password, and whether it was made here.
fn choose_password(from_stdin: bool) -> Result<(String, bool), Failure> {
    if !from_stdin {
        return Ok((hackclub_cdn::service::generate_password(), true));
    }
    if stdin().is_terminal() {
        eprintln!("password (one line, shown as you type):");
    }
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    Ok((line.trim_end_matches(['\n', '\r']).to_owned(), false))
}
