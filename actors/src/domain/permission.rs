//! What somebody may do with a thing that was shared with them (contract, section 6).

use super::Invalid;

/// A level of a share. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// List, see, preview.
    View,
    /// The bytes.
    Download,
    /// Rename, move inside, upload into, new versions.
    Edit,
    /// Share on, trash.
    Admin,
}

impl Permission {
    pub const ALL: [Self; 4] = [Self::View, Self::Download, Self::Edit, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Download => "download",
            Self::Edit => "edit",
            Self::Admin => "admin",
        }
    }

    /// # Errors
    /// Anything but the four names.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| Invalid::new("One of view, download, edit, admin."))
    }

    /// 1 to 4; higher permits more.
    pub fn rank(self) -> i64 {
        match self {
            Self::View => 1,
            Self::Download => 2,
            Self::Edit => 3,
            Self::Admin => 4,
        }
    }

    /// `None` for a number that is no rank.
    pub fn of_rank(rank: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.rank() == rank)
    }
}

/// What somebody is to a thing that they may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// By the highest of all grants on it and on the folders above it.
    Granted(Permission),
    Owner,
}

impl Level {
    pub fn permits(self, wanted: Permission) -> bool {
        self >= Self::Granted(wanted)
    }

    pub fn is_owner(self) -> bool {
        self == Self::Owner
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Permission};

    #[test]
    fn each_level_permits_what_those_before_it_do_and_no_more() {
        for (nth, level) in Permission::ALL.into_iter().enumerate() {
            for (other, wanted) in Permission::ALL.into_iter().enumerate() {
                assert_eq!(Level::Granted(level).permits(wanted), other <= nth, "{level:?} {wanted:?}");
            }
            assert!(Level::Owner.permits(level));
        }
    }

    #[test]
    fn names_and_ranks_lead_back_to_their_level() {
        for level in Permission::ALL {
            assert_eq!(Permission::parse(level.as_str()), Ok(level));
            assert_eq!(Permission::of_rank(level.rank()), Some(level));
        }
        assert!(Permission::parse("owner").is_err());
        assert_eq!(Permission::of_rank(5), None);
    }
}
