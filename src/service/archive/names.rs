//! Names inside an archive: such as every system unpacks to where they say, and each one once in its folder.

use cdn_actors::domain::filename::{Filename, FolderName, fold_case};
use std::collections::HashMap;

/// Names that open a device on Windows, whatever extension follows.
/// https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// The names that one folder of an archive has so far. Two that differ in case only are one to many systems.
#[derive(Default)]
pub struct TakenNames(HashMap<String, u64>);

impl TakenNames {
    pub fn take_file(&mut self, name: &str) -> String {
        let name = portable(name);
        let parsed = Filename::parse(&name).ok();
        self.take(name, |n| parsed.as_ref().map(|name| name.numbered(n).as_str().to_owned()))
    }

    pub fn take_folder(&mut self, name: &str) -> String {
        let name = portable(name);
        let parsed = FolderName::parse(&name).ok();
        self.take(name, |n| parsed.as_ref().map(|name| name.numbered(n).as_str().to_owned()))
    }

    fn take(&mut self, name: String, numbered: impl Fn(u64) -> Option<String>) -> String {
        let key = fold_case(&name);
        // Counting goes on where the last one of this name stopped, or thousands would be quadratic work.
        let Some(mut number) = self.0.get(&key).copied() else {
            self.0.insert(key, 0);
            return name;
        };
        loop {
            number += 1;
            let candidate = numbered(number).unwrap_or_else(|| format!("{name} ({number})"));
            let folded = fold_case(&candidate);
            if !self.0.contains_key(&folded) {
                self.0.insert(folded, 0);
                self.0.insert(key, number);
                return candidate;
            }
        }
    }
}

/// The name without what some system refuses, or takes for something else.
pub fn portable(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| match c {
            '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    // Windows drops dots and spaces at the end.
    let kept = safe.trim_end_matches(['.', ' ']).len();
    let dropped = safe[kept..].chars().count();
    safe.truncate(kept);
    safe.extend(std::iter::repeat_n('_', dropped));
    if safe.is_empty() || is_device(&safe) {
        safe.insert(0, '_');
    }
    safe
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_numbered = |device: &str| {
        let number = stem.strip_prefix(device).unwrap_or_default();
        number.chars().count() == 1 && number.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.into_iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_system_refuses_is_replaced() {
        for (name, safe) in [
            ("a.txt", "a.txt"),
            ("what?.txt", "what_.txt"),
            ("C:\\x|y<z>\"*", "C__x_y_z___"),
            ("../up", ".._up"),
            ("..", "__"),
            ("dots...", "dots___"),
            ("space ", "space_"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.log", "_com1.log"),
            ("lpt²", "_lpt²"),
            ("console.txt", "console.txt"),
            ("com10", "com10"),
            ("", "_"),
            ("tab\there", "tab_here"),
            ("Grüße 🎉.txt", "Grüße 🎉.txt"),
        ] {
            assert_eq!(portable(name), safe, "{name:?}");
        }
    }

    #[test]
    fn each_name_is_given_once_whatever_its_case() {
        let mut names = TakenNames::default();
        assert_eq!(names.take_file("a.txt"), "a.txt");
        assert_eq!(names.take_file("A.TXT"), "A (1).TXT");
        assert_eq!(names.take_file("a (1).txt"), "a (1) (1).txt");
        assert_eq!(names.take_folder("a.txt"), "a.txt (2)");
        assert_eq!(names.take_file("?"), "_");
        assert_eq!(names.take_file("*"), "_ (1)");
    }

    #[test]
    fn many_of_one_name_take_no_quadratic_time() {
        let mut names = TakenNames::default();
        let given: std::collections::HashSet<_> = (0..20_000).map(|_| names.take_file("a?.txt")).collect();
        assert_eq!(given.len(), 20_000);
    }
}
