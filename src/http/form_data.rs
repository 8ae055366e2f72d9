//! Reads `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) while it arrives. What parts hold is passed on in
//! the buffers that it came in: nothing of a file is copied.

use actix_web::http::header::{ContentDisposition, DispositionType, HeaderName, HeaderValue};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem::Finder;
use std::{
    fmt::Display,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Longest head of a part, and most bytes before the first part.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of a part.
const MAX_HEADERS: usize = 16;

/// Why a form can't be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormDataError {
    #[error("{0}")]
    Body(String),
    #[error("the form ends before its last boundary")]
    Incomplete,
    #[error("no boundary within the first {MAX_HEAD} bytes")]
    NoBoundary,
    #[error("a part of the form has a head of more than {MAX_HEAD} bytes")]
    LongHead,
    #[error("a part of the form has a head that can't be read")]
    BadHead,
    #[error("a part of the form has no name")]
    NoName,
}

/// What a part says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    pub name: String,
    pub filename: Option<String>,
    /// Type and subtype, as they were sent.
    pub content_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first part, or in the content of one.
    Content,
    /// Behind a boundary.
    Boundary,
    End,
}

/// A form on its way.
pub struct FormData<S> {
    body: S,
    /// Arrived and not taken yet.
    rest: Bytes,
    /// Bytes of the body that have arrived.
    arrived: u64,
    /// A line break, two dashes and the boundary: what ends each content.
    delimiter: Finder<'static>,
    place: Place,
}

impl<S, E> FormData<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    /// `boundary` comes from a header, so it has no line break in it.
    pub fn new(boundary: &str, body: S) -> Self {
        Self {
            body,
            // So that a boundary at the very beginning is one, too.
            rest: Bytes::from_static(b"\r\n"),
            arrived: 0,
            delimiter: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            place: Place::Content,
        }
    }

    /// Bytes of the body that were taken so far.
    pub fn position(&self) -> u64 {
        self.arrived.saturating_sub(self.rest.len() as u64)
    }

    /// Bytes behind the content of the last part, as forms usually end.
    pub fn closing(&self) -> u64 {
        self.delimiter.needle().len() as u64 + 4
    }

    /// The next part; what is left of the one before is skipped. `None` at the end of the form.
    ///
    /// # Errors
    /// A form that breaks off, or is none.
    pub async fn next_part(&mut self) -> Result<Option<PartHead>, FormDataError> {
        let is_first = self.position() == 0;
        while let Some(skipped) = poll_fn(|cx| self.poll_content(cx)).await {
            skipped?;
            if is_first && self.position() > MAX_HEAD as u64 {
                return Err(FormDataError::NoBoundary);
            }
        }
        while self.place == Place::Boundary && self.rest.len() < 2 {
            self.more().await?;
        }
        if self.place == Place::End || self.rest.starts_with(b"--") {
            self.place = Place::End;
            return Ok(None);
        }
        let head = self.take_head().await?;
        self.place = Place::Content;
        read_head(&head).map(Some)
    }

    /// The next bytes of the present part's content. `None` at its end.
    pub fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FormDataError>>> {
        while self.place == Place::Content {
            let end = self.delimiter.find(&self.rest);
            if end == Some(0) {
                self.rest.advance(self.delimiter.needle().len());
                self.place = Place::Boundary;
                break;
            }
            let certain = end.unwrap_or_else(|| self.rest.len() - self.cut_off());
            if certain > 0 {
                return Poll::Ready(Some(Ok(self.rest.split_to(certain))));
            }
            if let Err(error) = ready!(self.poll_more(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }

    /// Bytes at the end of what has arrived that may be the beginning of a delimiter. It has one CR, its first
    /// byte.
    fn cut_off(&self) -> usize {
        let delimiter = self.delimiter.needle();
        let tail = &self.rest[self.rest.len().saturating_sub(delimiter.len() - 1)..];
        let start = memchr::memrchr(b'\r', tail).map(|at| &tail[at..]);
        start.filter(|start| delimiter.starts_with(start)).map_or(0, <[u8]>::len)
    }

    /// The rest of the boundary's line, and the head up to the empty line, both with their line breaks.
    async fn take_head(&mut self) -> Result<Bytes, FormDataError> {
        const END: &[u8] = b"\r\n\r\n";
        let mut head = BytesMut::new();
        loop {
            let before = head.len();
            let added = self.rest.len().min(MAX_HEAD - before);
            head.extend_from_slice(&self.rest[..added]);
            let unseen = before.saturating_sub(END.len() - 1);
            if let Some(at) = memchr::memmem::find(&head[unseen..], END) {
                head.truncate(unseen + at + END.len());
                self.rest.advance(head.len() - before);
                return Ok(head.freeze());
            }
            self.rest.advance(added);
            if head.len() == MAX_HEAD {
                return Err(FormDataError::LongHead);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), FormDataError> {
        poll_fn(|cx| self.poll_more(cx)).await
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FormDataError>> {
        loop {
            let chunk = match ready!(self.body.poll_next_unpin(cx)) {
                None => return Poll::Ready(Err(FormDataError::Incomplete)),
                Some(Err(error)) => return Poll::Ready(Err(FormDataError::Body(error.to_string()))),
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => chunk,
            };
            self.arrived += chunk.len() as u64;
            // What is left over is shorter than a delimiter, and rare.
            self.rest = if self.rest.is_empty() { chunk } else { [&self.rest[..], &chunk].concat().into() };
            return Poll::Ready(Ok(()));
        }
    }
}

/// The content of the present part.
pub struct Content<'a, S>(pub &'a mut FormData<S>);

impl<S, E> Stream for Content<'_, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    type Item = Result<Bytes, FormDataError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_content(cx)
    }
}

fn read_head(head: &[u8]) -> Result<PartHead, FormDataError> {
    let line = memchr::memmem::find(head, b"\r\n").ok_or(FormDataError::BadHead)?;
    // Blanks may follow a boundary (RFC 2046, "transport-padding"), anything else makes it another text.
    if !head[..line].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(FormDataError::BadHead);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let fields = match httparse::parse_headers(&head[line + 2..], &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        _ => return Err(FormDataError::BadHead),
    };
    let value = |name: HeaderName| {
        let field = fields.iter().find(|field| name.as_str().eq_ignore_ascii_case(field.name));
        field.map(|field| HeaderValue::from_bytes(field.value)).transpose()
    };
    let disposition =
        value(actix_web::http::header::CONTENT_DISPOSITION).map_err(|_| FormDataError::BadHead)?;
    let disposition = disposition.and_then(|value| ContentDisposition::from_raw(&value).ok());
    let disposition = disposition.filter(|given| given.disposition == DispositionType::FormData);
    let disposition = disposition.ok_or(FormDataError::NoName)?;
    let name = disposition.get_name().ok_or(FormDataError::NoName)?.to_owned();
    let long_name =
        disposition.get_filename_ext().map(|ext| String::from_utf8_lossy(&ext.value).into_owned());
    let filename = long_name.or_else(|| disposition.get_filename().map(str::to_owned));
    let content_type = value(actix_web::http::header::CONTENT_TYPE).map_err(|_| FormDataError::BadHead)?;
    let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()?.split(';').next());
    let content_type = content_type.map(|text| text.trim().to_ascii_lowercase());
    Ok(PartHead { name, filename, content_type })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use futures_util::{FutureExt, stream};
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// All parts of a form that arrives in these chunks, with their contents.
    fn read(chunks: &[&[u8]]) -> Result<Vec<(PartHead, Vec<u8>)>, FormDataError> {
        let chunks: Vec<Result<Bytes, Infallible>> =
            chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut form = FormData::new("b", stream::iter(chunks));
        let reading = async {
            let mut parts = Vec::new();
            while let Some(head) = form.next_part().await? {
                let mut content = Vec::new();
                let mut pieces = Content(&mut form);
                while let Some(piece) = pieces.next().await {
                    content.extend_from_slice(&piece?);
                }
                parts.push((head, content));
            }
            Ok(parts)
        };
        reading.now_or_never().unwrap()
    }

    fn part(name: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    fn contents(parts: Vec<(PartHead, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        parts.into_iter().map(|(head, content)| (head.name, content)).collect()
    }

    #[test]
    fn a_head_says_name_file_and_type() {
        let form = b"ignored\r\n--b \t\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".txt\"\r\n\
                     Content-Type: Text/Plain; charset=utf-8\r\nX: y\r\n\r\nhello\r\n--b--\r\nignored, too";
        let parts = read(&[form]).unwrap();
        let head = PartHead {
            name: "file".into(),
            filename: Some("a \"b\".txt".into()),
            content_type: Some("text/plain".into()),
        };
        assert_eq!(parts, [(head, b"hello".to_vec())]);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let no_end = part("a", b"1");
        let no_name = b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--";
        let no_head = b"--b\r\n\r\n1\r\n--b--";
        let other_kind = b"--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--b--";
        let longer = b"--bb\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--";
        let colonless = b"--b\r\nContent-Disposition\r\n\r\n1\r\n--b--";
        let long = [b"--b\r\nX: ".as_slice(), &[b'x'; MAX_HEAD]].concat();
        let cases: [(&[u8], FormDataError); 9] = [
            (b"", FormDataError::Incomplete),
            (b"text", FormDataError::Incomplete),
            (&no_end, FormDataError::Incomplete),
            (no_name, FormDataError::NoName),
            (no_head, FormDataError::NoName),
            (other_kind, FormDataError::NoName),
            (longer, FormDataError::BadHead),
            (colonless, FormDataError::BadHead),
            (&long, FormDataError::LongHead),
        ];
        for (form, error) in cases {
            assert_eq!(read(&[form]), Err(error), "{}", String::from_utf8_lossy(form));
        }
        let endless: Vec<&[u8]> = vec![b"no boundary in here"; MAX_HEAD];
        assert_eq!(read(&endless), Err(FormDataError::NoBoundary));
    }

    #[test]
    fn a_part_that_was_not_read_is_skipped() {
        let form = [part("a", b"first"), part("b", b"second"), b"--b--".to_vec()].concat();
        let mut form = FormData::new("b", stream::iter([Ok::<_, Infallible>(Bytes::from(form))]));
        let names = async {
            let mut names = Vec::new();
            while let Some(head) = form.next_part().await.unwrap() {
                names.push(head.name);
            }
            names
        };
        assert_eq!(names.now_or_never().unwrap(), ["a", "b"]);
        assert!(form.next_part().now_or_never().unwrap().unwrap().is_none(), "the end stays the end");
    }

    proptest! {
        /// Contents are as they were sent, wherever the body is cut, and however much they look like a boundary.
        #[test]
        fn cuts_make_no_difference(
            sent in proptest::collection::vec("(\r|\n|-|b|\r\n|\r\n--|x|\r\n-){0,12}", 0..4)
                .prop_filter("no boundary", |sent| sent.iter().all(|text| !text.contains("\r\n--b"))),
            cuts in proptest::collection::vec(1..9usize, 1..9),
        ) {
            let mut form: Vec<u8> = sent.iter().flat_map(|text| part("a", text.as_bytes())).collect();
            form.extend_from_slice(b"--b--\r\n");
            let mut chunks = Vec::new();
            let mut left = form.as_slice();
            for cut in cuts.iter().cycle() {
                let (chunk, behind) = left.split_at(left.len().min(*cut));
                chunks.push(chunk);
                left = behind;
                if left.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> = sent.iter().map(|text| ("a".to_owned(), text.clone().into_bytes())).collect();
            prop_assert_eq!(contents(read(&chunks).unwrap()), expected.clone());
            prop_assert_eq!(contents(read(&[&form]).unwrap()), expected);
        }
    }
}
