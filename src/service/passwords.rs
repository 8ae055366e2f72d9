//! Password hashing: argon2id on a blocking thread, as many at once as there are cores.

use super::ServiceError;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Hashes waiting for a core before more are refused: each takes about 25 ms and 19 MiB.
const QUEUE_PER_CORE: usize = 64;

/// What the password of an account that doesn't exist is checked against, so that it takes the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("nobody has this password").unwrap_or_default());

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Passwords {
    /// `concurrency` 0 means one for each core.
    pub fn new(concurrency: usize) -> Self {
        // Made now, so that the first sign-in of nobody takes as long as any other.
        LazyLock::force(&NOBODY);
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let running = if concurrency == 0 { cores() } else { concurrency };
        Self {
            running: Arc::new(Semaphore::new(running)),
            waiting: Arc::new(Semaphore::new(running * QUEUE_PER_CORE)),
        }
    }

    /// # Errors
    /// [`ServiceError::Busy`] when too many wait.
    pub async fn hash(&self, password: String) -> Result<String, ServiceError> {
        self.run(move || hash_now(&password))
            .await?
            .ok_or_else(|| ServiceError::Internal("hashing failed".into()))
    }

    /// Whether the password is the one; takes its time even when there is no hash to compare with.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] when too many wait.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ServiceError> {
        self.run(move || {
            let is_somebody = hash.is_some();
            let hash = hash.as_ref().unwrap_or(&NOBODY);
            let matches = PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            matches && is_somebody
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| ServiceError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| ServiceError::Busy)?;
        tokio::task::spawn_blocking(move || {
            // Held until the work is over, even when the caller has gone away.
            let _running = running;
            work()
        })
        .await
        .map_err(|error| ServiceError::Internal(error.to_string()))
    }
}

/// A password of 120 random bits, to be typed once and changed.
pub fn generate_password() -> String {
    let mut password = super::keys::random_token();
    password.truncate(20);
    password
}

fn hash_now(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}
