//! E-mail addresses as account names.

use super::Invalid;

/// An address in lower case, at most 254 bytes (RFC 5321, 4.5.3.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// Anything without the form `local@domain`. Whether the mailbox exists is for the mail to tell.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let address = text.trim().to_lowercase();
        let has_form = address
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let is_clean = address.len() <= 254 && !address.chars().any(|c| c.is_control() || c.is_whitespace());
        if has_form && is_clean {
            Ok(Self(address))
        } else {
            Err(Invalid::new("Enter a valid email address."))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
