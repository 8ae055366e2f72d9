//! Which country an address is in, by an optional MaxMind database of the operator's.

use maxminddb::{MaxMindDbError, Reader, geoip2};
use std::{net::IpAddr, path::Path};

/// The database, or nothing.
pub struct Geography(Option<Reader<Vec<u8>>>);

impl Geography {
    /// # Errors
    /// A file that is configured and can't be read.
    pub fn open(path: Option<&Path>) -> Result<Self, MaxMindDbError> {
        path.map(Reader::open_readfile).transpose().map(Self)
    }

    /// Two letters (ISO 3166-1).
    pub fn country_of(&self, address: IpAddr) -> Option<String> {
        let reader = self.0.as_ref()?;
        let country: geoip2::Country = reader.lookup(address.to_canonical()).ok()?.decode().ok()??;
        country.country.iso_code.map(str::to_owned)
    }
}
