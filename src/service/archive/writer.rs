//! A ZIP archive as it is written: what goes in comes out again piece by piece, and only the list of entries stays.

use crate::service::ServiceError;
use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Datelike, Timelike, Utc};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions, write::StreamWriter};

/// Sizes from here on need the fields of ZIP64 (APPNOTE 4.4.8).
const ZIP64_FROM: u64 = u32::MAX as u64;

impl From<ZipError> for ServiceError {
    fn from(error: ZipError) -> Self {
        Self::Internal(format!("archive: {error}"))
    }
}

/// Where the archive's bytes wait to be taken.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<BytesMut>>);

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, BytesMut> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().put_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct ArchiveWriter {
    zip: ZipWriter<StreamWriter<Outbox>>,
    outbox: Outbox,
}

impl ArchiveWriter {
    pub fn new() -> Self {
        let outbox = Outbox::default();
        Self { zip: ZipWriter::new_stream(outbox.clone()), outbox }
    }

    /// An entry for the folder itself, so that empty ones are unpacked too.
    pub fn add_folder(&mut self, path: &str, modified: DateTime<Utc>) -> Result<(), ServiceError> {
        Ok(self.zip.add_directory(path, options(modified).unix_permissions(0o755))?)
    }

    /// Starts a file of `size` bytes, which [`ArchiveWriter::write`] then takes.
    pub fn begin_file(&mut self, path: &str, size: u64, modified: DateTime<Utc>) -> Result<(), ServiceError> {
        let options = options(modified).unix_permissions(0o644).large_file(size >= ZIP64_FROM);
        Ok(self.zip.start_file(path, options)?)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.zip.write_all(bytes).map_err(|error| ServiceError::Internal(format!("archive: {error}")))
    }

    /// How many bytes wait to be taken.
    pub fn waiting(&self) -> usize {
        self.outbox.lock().len()
    }

    pub fn take(&mut self) -> Bytes {
        self.outbox.lock().split().freeze()
    }

    /// Writes the list of entries; gives the last bytes.
    pub fn finish(self) -> Result<Bytes, ServiceError> {
        self.zip.finish()?;
        Ok(self.outbox.lock().split().freeze())
    }
}

/// Most of what people keep is compressed already: entries are stored as they are.
fn options(modified: DateTime<Utc>) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(dos_time(modified))
}

/// ZIP's times begin with 1980 and have two-second steps; what it can't say is its first moment.
fn dos_time(time: DateTime<Utc>) -> zip::DateTime {
    let small = |n: u32| u8::try_from(n).unwrap_or(0);
    u16::try_from(time.year())
        .ok()
        .and_then(|year| {
            zip::DateTime::from_date_and_time(
                year,
                small(time.month()),
                small(time.day()),
                small(time.hour()),
                small(time.minute()),
                small(time.second()),
            )
            .ok()
        })
        .unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};
    use zip::ZipArchive;

    /// A file that is all zeros between its first and its last bytes, which alone are kept.
    struct Sparse {
        head: Vec<u8>,
        tail: Vec<u8>,
        size: u64,
        at: u64,
    }

    impl Read for Sparse {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let tail_at = self.size - self.tail.len() as u64;
            let mut count = 0;
            for byte in into.iter_mut() {
                if self.at == self.size {
                    break;
                }
                *byte = match usize::try_from(self.at).ok().and_then(|at| self.head.get(at)) {
                    Some(byte) => *byte,
                    None if self.at >= tail_at => {
                        self.tail[usize::try_from(self.at - tail_at).map_err(io::Error::other)?]
                    }
                    None => 0,
                };
                self.at += 1;
                count += 1;
            }
            Ok(count)
        }
    }

    impl Seek for Sparse {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let at = match to {
                SeekFrom::Start(at) => Some(at),
                SeekFrom::End(by) => self.size.checked_add_signed(by),
                SeekFrom::Current(by) => self.at.checked_add_signed(by),
            };
            self.at = at.ok_or_else(|| io::Error::other("before the start"))?;
            Ok(self.at)
        }
    }

    #[test]
    fn a_file_over_4_gib_and_what_comes_after_it_are_found_again() {
        const KEPT: usize = 4096;
        let large = (4 << 30) + 12_345;
        let mut writer = ArchiveWriter::new();
        writer.begin_file("large.bin", large, Utc::now()).unwrap();
        let (mut head, mut tail, mut size) = (Vec::new(), Vec::new(), 0_u64);
        let mut keep = |bytes: Bytes| {
            size += bytes.len() as u64;
            let room = (KEPT - head.len()).min(bytes.len());
            head.extend_from_slice(&bytes[..room]);
            tail.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
            tail.drain(..tail.len().saturating_sub(KEPT));
        };
        let zeros = vec![0; 4 << 20];
        let mut left = large;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            writer.write(&zeros[..count]).unwrap();
            left -= count as u64;
            keep(writer.take());
        }
        writer.begin_file("small.txt", 5, Utc::now()).unwrap();
        writer.write(b"after").unwrap();
        keep(writer.finish().unwrap());

        let mut archive = ZipArchive::new(Sparse { head, tail, size, at: 0 }).unwrap();
        assert_eq!(archive.len(), 2);
        let entry = archive.by_name("large.bin").unwrap();
        assert_eq!((entry.size(), entry.compressed_size()), (large, large));
        drop(entry);
        let mut text = String::new();
        archive.by_name("small.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "after");
    }

    #[test]
    fn times_that_zip_does_not_know_do_not_fail() {
        let before = DateTime::<Utc>::from_timestamp(0, 0).unwrap();
        assert_eq!(dos_time(before), zip::DateTime::default());
        let known = "2026-11-23T14:30:08Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!((dos_time(known).year(), dos_time(known).second()), (2026, 8));
    }
}
