//! The line to the server: messages with a length in front, and a file with each order.

use super::super::wire::{self, Order};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

/// Standard input and output, which are two ends of the same socket, without buffers of their own.
pub(super) struct Line;

impl Line {
    /// The next order and its source; none when the server has closed the line.
    pub(super) fn receive(&mut self) -> io::Result<Option<(Order, File)>> {
        let mut length = [0; wire::LENGTH];
        let Some((mut filled, file)) = receive_with_file(&mut length)? else { return Ok(None) };
        while let Some(rest) = length.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += read_some(rest)?;
        }
        let mut json = vec![0; wire::message_length(length)?];
        let mut filled = 0;
        while let Some(rest) = json.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += read_some(rest)?;
        }
        let order = serde_json::from_slice(&json)?;
        let file = file.ok_or_else(|| io::Error::other("an order came without its file"))?;
        Ok(Some((order, File::from(file))))
    }

    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.send_bytes(&wire::framed(message)?)
    }

    pub(super) fn send_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let output = io::stdout();
        while !bytes.is_empty() {
            match rustix::io::write(output.as_fd(), bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn read_some(buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(io::stdin().as_fd(), &mut *buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => return Ok(read),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the first bytes of an order, and the file that came with them; none at the end of the line.
fn receive_with_file(buffer: &mut [u8]) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let parts = &mut [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(io::stdin().as_fd(), parts, &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut file = None;
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            file = files.last();
        }
    }
    Ok(Some((received.bytes, file)))
}
