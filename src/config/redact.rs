//! Takes secrets out of text that is printed or logged.

use url::Url;

pub(super) const HIDDEN: &str = "***";

/// `***` for a secret that is set, nothing for one that isn't.
pub(super) fn secret(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    HIDDEN.to_owned()
}

/// The URL with `***` for its password, wherever it stands. A URL without one comes back as written.
///
/// A text that isn't a URL, or whose `@` shows that a password was not percent-encoded, keeps its scheme only:
/// what the parser takes for host or path may be a piece of the password.
pub(super) fn url(text: &str) -> String {
    let Ok(mut parsed) = Url::parse(text) else {
        return if text.contains('@') || text.contains("password") {
            scheme_only(text)
        } else {
            text.to_owned()
        };
    };
    let has_stray_at = [Some(parsed.path()), parsed.query(), parsed.fragment()]
        .into_iter()
        .flatten()
        .any(|part| part.contains('@'));
    if has_stray_at {
        return scheme_only(text);
    }
    let has_password = parsed.password().is_some();
    // sqlx and libpq also read the password from the query.
    let has_secret_parameter = parsed.query_pairs().any(|(name, _)| is_secret(&name));
    if !has_password && !has_secret_parameter {
        return text.to_owned();
    }
    if has_password && parsed.set_password(Some(HIDDEN)).is_err() {
        return scheme_only(text);
    }
    if has_secret_parameter {
        let pairs: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(name, value)| {
                let shown = if is_secret(&name) { HIDDEN.to_owned() } else { value.into_owned() };
                (name.into_owned(), shown)
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.into()
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    ["password", "secret", "token"].iter().any(|word| name.contains(word))
}

fn scheme_only(text: &str) -> String {
    match text.split_once(':') {
        Some((scheme, _)) if !scheme.contains('@') => format!("{scheme}:{HIDDEN}"),
        _ => HIDDEN.to_owned(),
    }
}
