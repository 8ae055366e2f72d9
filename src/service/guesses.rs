//! Guessing is slow: attempts at a secret are counted before the secret is looked at, in the database, so that
//! all processes agree.
//!
//! An attempt takes one from three counters: of the thing that is guessed from this network, of the network, and
//! of the thing from anywhere. A right secret gives them back. What is refused takes nothing, or one network could
//! use up what the others have.

use super::{ServiceError, Services, sessions::time_delta};
use crate::{
    config::GuessLimits,
    db::{AsDbError, DbError, Tx, guesses::GuessRow},
};
use chrono::{DateTime, Utc};
use dashmap::DashMap;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Bits of an IPv6 address that name a subscriber's network (RFC 6177); the rest is theirs to choose.
const IPV6_NETWORK_BITS: u32 = 64;

/// Attempts of one network at one thing that are looked at in the same moment by this process.
const AT_ONCE: usize = 2;

/// What is being guessed.
#[derive(Debug, Clone)]
pub enum Guess {
    /// The password of the account with this address, which need not exist.
    Password {
        email: String,
    },
    SharePassword {
        share: Uuid,
    },
    /// Any token: there is no telling which.
    ShareToken,
}

/// An attempt that was admitted; give it back when the secret was right.
#[derive(Debug)]
#[must_use = "a right secret is given back"]
pub struct TakenGuess {
    keys: Vec<Vec<u8>>,
    /// The counter of this thing from this network.
    own: Option<Vec<u8>>,
    /// Held until it is known whether the attempt counts.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Who is at it right now. Many people behind one address may come with the right secret in one moment: were they
/// not to take turns, their attempts would all count for as long as it takes to find out that they are right.
#[derive(Default)]
pub struct GuessTurns(DashMap<Vec<u8>, Weak<Semaphore>>);

impl GuessTurns {
    async fn wait(&self, own: &[u8]) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut entry = self.0.entry(own.to_vec()).or_default();
            entry.upgrade().unwrap_or_else(|| {
                let turns = Arc::new(Semaphore::new(AT_ONCE));
                *entry = Arc::downgrade(&turns);
                turns
            })
        };
        // Nobody closes it.
        let turn = turns.acquire_owned().await.ok();
        self.0.retain(|_, turns| turns.strong_count() > 0);
        turn
    }
}

#[derive(Debug)]
enum Refusal {
    Spent(Duration),
    Database(DbError),
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl AsDbError for Refusal {
    fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Spent(_) => None,
        }
    }
}

impl Services {
    /// Asks for an attempt, before the secret is looked at.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`], and the database's.
    pub async fn take_guess(
        &self,
        guess: &Guess,
        address: Option<IpAddr>,
    ) -> Result<TakenGuess, ServiceError> {
        let own = self.own_counter(guess, address);
        let turn = match &own {
            Some(own) => self.guess_turns.wait(own).await,
            None => None,
        };
        let now = self.clock.now();
        let limits = self.guess_counters(guess, address);
        let mut keys: Vec<_> = limits.keys().cloned().collect();
        keys.sort_unstable();
        // Most refusals need no write.
        let spent = |rows: &[GuessRow], beyond: i64| longest_wait(rows, &limits, beyond, now);
        if let Some(wait) = spent(&self.db.count_guesses(&keys, now).await?, 0) {
            return Err(ServiceError::TooManyAttempts { retry_after: wait });
        }
        let ends_at = now + time_delta(self.config.limits.guesses.window.duration());
        let (wanted, limits_then) = (keys.clone(), limits.clone());
        let work = async move |tx: &mut Tx| {
            let rows = tx.add_guess(&wanted, now, ends_at).await?;
            // An error takes the transaction back: what is refused is not counted.
            longest_wait(&rows, &limits_then, 1, now).map_or(Ok(()), |wait| Err(Refusal::Spent(wait)))
        };
        match self.db.write::<_, _, Refusal>(work).await {
            Ok(()) => Ok(TakenGuess { keys, own, _turn: turn }),
            Err(Refusal::Spent(retry_after)) => Err(ServiceError::TooManyAttempts { retry_after }),
            Err(Refusal::Database(error)) => Err(error.into()),
        }
    }

    /// The secret was right: the attempt doesn't count, and what this network tried before is forgotten.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_guess_back(&self, taken: TakenGuess) -> Result<(), ServiceError> {
        let TakenGuess { keys, own, _turn } = taken;
        let work = async move |tx: &mut Tx| {
            tx.subtract_guess(&keys).await?;
            match &own {
                Some(own) => tx.forget_guess(own).await,
                None => Ok(()),
            }
        };
        Ok(self.db.write::<_, _, DbError>(work).await?)
    }

    /// The counters that an attempt takes from, and how many attempts each allows.
    fn guess_counters(&self, guess: &Guess, address: Option<IpAddr>) -> HashMap<Vec<u8>, u32> {
        let GuessLimits { per_network_and_secret, per_network, per_secret, .. } = self.config.limits.guesses;
        let network = network_of(address);
        let (kind, secret) = describe(guess);
        let mut counters = HashMap::from([(self.guess_key(&[kind, "from", &network]), per_network)]);
        if let Some(secret) = secret {
            counters.insert(self.guess_key(&[kind, "of", &secret]), per_secret);
            counters.insert(self.guess_key(&[kind, "of", &secret, "from", &network]), per_network_and_secret);
        }
        counters
    }

    fn own_counter(&self, guess: &Guess, address: Option<IpAddr>) -> Option<Vec<u8>> {
        let (kind, secret) = describe(guess);
        Some(self.guess_key(&[kind, "of", &secret?, "from", &network_of(address)]))
    }

    /// Keyed, because people type passwords into the wrong field.
    fn guess_key(&self, parts: &[&str]) -> Vec<u8> {
        self.keys.sign_guess(&parts.join("\0"))
    }
}

fn describe(guess: &Guess) -> (&'static str, Option<String>) {
    match guess {
        Guess::Password { email } => ("password", Some(email.trim().to_lowercase())),
        Guess::SharePassword { share } => ("share password", Some(share.to_string())),
        Guess::ShareToken => ("share token", None),
    }
}

/// The network that an address counts with, as text.
pub fn network_of(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() >> (128 - IPV6_NETWORK_BITS) << (128 - IPV6_NETWORK_BITS);
            std::net::Ipv6Addr::from_bits(network).to_string()
        }
        Some(address) => address.to_string(),
        None => "unknown".to_owned(),
    }
}

/// The time until all counters that are spent begin anew; `counted` of each is the attempt itself.
fn longest_wait(
    rows: &[GuessRow],
    limits: &HashMap<Vec<u8>, u32>,
    counted: i64,
    now: DateTime<Utc>,
) -> Option<Duration> {
    rows.iter()
        .filter(|row| limits.get(&row.key).is_some_and(|limit| row.taken - counted >= i64::from(*limit)))
        .map(|row| (row.window_ends_at - now).to_std().unwrap_or_default())
        .max()
}

#[cfg(test)]
mod tests {
    use super::network_of;

    fn network(text: &str) -> String {
        network_of(text.parse().ok())
    }

    #[test]
    fn addresses_of_one_ipv6_subscriber_are_one_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_the_socket_names_it() {
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
