//! Which passwords are too weak to take.

use super::Invalid;

/// Fewest characters of a password.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Most bytes of a password: longer input only costs hashing time.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The head of every published list of leaked passwords, of those that pass the length rule.
const COMMON: [&str; 50] = [
    "password",
    "password1",
    "password12",
    "password123",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "iloveyou",
    "princess",
    "sunshine",
    "football",
    "baseball",
    "basketball",
    "superman",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "qwerty12",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "zaq12wsx",
    "q1w2e3r4",
    "abcd1234",
    "abc12345",
    "abcdefgh",
    "a1b2c3d4",
    "aa123456",
    "trustno1",
    "letmein1",
    "welcome1",
    "welcome123",
    "admin123",
    "administrator",
    "changeme",
    "whatever",
    "starwars",
    "computer",
    "corvette",
    "jennifer",
    "michelle",
    "danielle",
    "liverpool",
    "chocolate",
    "internet",
    "samantha",
    "charlie1",
    "hackclub",
    "hackclub1",
    "hackclub123",
];

/// # Errors
/// Under 8 characters, all digits, or too common; with the sentence the user reads.
pub fn check_strength(password: &str) -> Result<(), Invalid> {
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Err(Invalid::new("This password is too short. It must contain at least 8 characters."));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(Invalid::new("This password is too long. It must contain at most 1024 bytes."));
    }
    if password.chars().all(|c| c.is_numeric()) {
        return Err(Invalid::new("This password is entirely numeric."));
    }
    let mut characters = password.chars();
    let first = characters.next();
    let is_one_character = characters.all(|c| Some(c) == first);
    if is_one_character || COMMON.contains(&password.to_lowercase().as_str()) {
        return Err(Invalid::new("This password is too common."));
    }
    Ok(())
}
