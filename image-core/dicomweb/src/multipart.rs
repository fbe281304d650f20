//! `multipart/related` as it comes in: pieces of any size go in, headers and content of parts come out (RFC 2046, 5.1).

use memchr::memmem::{Finder, find};

/// Bytes that the header of one part may have.
pub(crate) const MAX_HEADER: usize = 16 << 10;
/// Bytes ahead of the first boundary, and after the last one.
pub(crate) const MAX_AROUND: usize = 64 << 10;
/// Spaces that may follow a boundary on its line.
const MAX_PADDING: usize = 256;
/// Characters of a boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// Why a message is no multipart message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartFault {
    /// The content type has no boundary, or one that cannot be.
    #[error("the content type has no usable boundary")]
    Boundary,
    /// It ends before the closing boundary: what is missing is not known.
    #[error("the answer ends without its closing boundary")]
    Truncated,
    /// A part whose header is too large.
    #[error("the header of a part has more than {MAX_HEADER} bytes")]
    LongHeader,
    /// A header that is none.
    #[error("the header of a part cannot be read")]
    Header,
    /// Something other than a line break follows a boundary.
    #[error("a boundary is not alone on its line")]
    BoundaryLine,
    /// More around the parts than belongs there.
    #[error("more than {MAX_AROUND} bytes lie outside the parts")]
    Around,
    /// A part has not as many bytes as its header says.
    #[error("a part does not have the length that its header says")]
    Length,
}

/// What the header of a part says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartHeader {
    /// `Content-Type`
    pub(crate) content_type: Option<String>,
    /// `Content-Length`
    pub(crate) content_length: Option<u64>,
}

/// What comes out of a message, in this order: begin, any number of pieces, end; and so on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A part begins.
    Begin(PartHeader),
    /// More of its content, not empty.
    Data(&'a [u8]),
    /// The part is whole.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    BoundaryLine,
    Header,
    Content,
    Epilogue,
}

/// Takes a message apart. Holds no more than the last piece that was put in and [`MAX_HEADER`] bytes.
#[derive(Debug)]
pub(crate) struct MultipartReader {
    /// A line break, two dashes, and the boundary.
    delimiter: Finder<'static>,
    state: State,
    waiting: Vec<u8>,
    /// Bytes outside the parts.
    around: usize,
    /// Bytes of the part so far, and what its header says.
    length: u64,
    declared: Option<u64>,
    parts: u64,
}

impl MultipartReader {
    /// # Errors
    /// [`MultipartFault::Boundary`]
    pub(crate) fn new(boundary: &str) -> Result<Self, MultipartFault> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        let is_usable = (1..=MAX_BOUNDARY).contains(&boundary.len())
            && boundary.bytes().all(is_allowed)
            && !boundary.ends_with(' ');
        if !is_usable {
            return Err(MultipartFault::Boundary);
        }
        Ok(MultipartReader {
            delimiter: Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned(),
            state: State::Preamble,
            waiting: b"\r\n".to_vec(), // the first boundary may be at the very beginning
            around: 0,
            length: 0,
            declared: None,
            parts: 0,
        })
    }

    /// Parts that came whole.
    pub(crate) fn parts(&self) -> u64 {
        self.parts
    }

    /// Takes the next piece of the message.
    ///
    /// # Errors
    /// [`MultipartFault`], and those of `take`; the reader is of no use after one.
    pub(crate) fn push<E: From<MultipartFault>>(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(piece);
        let mut rest = &waiting[..];
        while let Some(after) = self.step(rest, &mut take)? {
            rest = after;
        }
        let n_taken = waiting.len() - rest.len();
        waiting.drain(..n_taken);
        self.waiting = waiting;
        Ok(())
    }

    /// Says whether the message is whole, once nothing more comes.
    ///
    /// # Errors
    /// [`MultipartFault::Truncated`]
    pub(crate) fn finish(&self) -> Result<(), MultipartFault> {
        match self.state {
            State::Epilogue => Ok(()),
            _ => Err(MultipartFault::Truncated),
        }
    }

    /// What is left of `rest` after the next event, or `None` if more must come for one. What waits is bounded: a delimiter, a
    /// line, or a header.
    fn step<'a, E: From<MultipartFault>>(
        &mut self,
        rest: &'a [u8],
        take: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<Option<&'a [u8]>, E> {
        let needle = self.delimiter.needle().len();
        match self.state {
            State::Preamble => {
                let (n, after) = match self.delimiter.find(rest) {
                    Some(at) => (at, at + needle),
                    None => (
                        rest.len().saturating_sub(needle - 1),
                        rest.len().saturating_sub(needle - 1),
                    ),
                };
                self.count_around(n)?;
                if after == n {
                    return Ok((n > 0).then(|| &rest[n..]));
                }
                self.state = State::BoundaryLine;
                Ok(Some(&rest[after..]))
            }
            State::BoundaryLine => {
                if rest.starts_with(b"--") {
                    self.state = State::Epilogue;
                    return Ok(Some(&rest[2..]));
                }
                let padding = rest
                    .iter()
                    .take_while(|byte| matches!(byte, b' ' | b'\t'))
                    .count();
                match &rest[padding..] {
                    [b'\r', b'\n', after @ ..] => {
                        self.state = State::Header;
                        Ok(Some(after))
                    }
                    [] | [b'\r'] if padding <= MAX_PADDING => Ok(None),
                    [b'-'] if padding == 0 => Ok(None),
                    _ => Err(MultipartFault::BoundaryLine.into()),
                }
            }
            State::Header => {
                let (header, after) = match (rest.strip_prefix(b"\r\n"), find(rest, b"\r\n\r\n")) {
                    (Some(after), _) => (&rest[..0], after),
                    (None, Some(at)) => (&rest[..at], &rest[at + 4..]),
                    (None, None) if rest.len() > MAX_HEADER => return Err(MultipartFault::LongHeader.into()),
                    (None, None) => return Ok(None),
                };
                if header.len() > MAX_HEADER {
                    return Err(MultipartFault::LongHeader.into());
                }
                let header = part_header(header).ok_or(MultipartFault::Header)?;
                (self.length, self.declared) = (0, header.content_length);
                self.state = State::Content;
                take(Event::Begin(header))?;
                Ok(Some(after))
            }
            State::Content => {
                let found = self.delimiter.find(rest);
                let n = found.unwrap_or_else(|| rest.len().saturating_sub(needle - 1));
                self.length += n as u64;
                if self.declared.is_some_and(|declared| self.length > declared) {
                    return Err(MultipartFault::Length.into());
                }
                if n > 0 {
                    take(Event::Data(&rest[..n]))?;
                }
                if found.is_none() {
                    return Ok((n > 0).then(|| &rest[n..]));
                }
                if self.declared.is_some_and(|declared| self.length != declared) {
                    return Err(MultipartFault::Length.into());
                }
                self.parts += 1;
                self.state = State::BoundaryLine;
                take(Event::End)?;
                Ok(Some(&rest[n + needle..]))
            }
            State::Epilogue => {
                self.count_around(rest.len())?;
                Ok((!rest.is_empty()).then(|| &rest[..0]))
            }
        }
    }

    fn count_around(&mut self, n: usize) -> Result<(), MultipartFault> {
        self.around = self.around.saturating_add(n);
        match self.around <= MAX_AROUND {
            true => Ok(()),
            false => Err(MultipartFault::Around),
        }
    }
}

/// The fields that matter of a part's header; `None` if it is none.
fn part_header(bytes: &[u8]) -> Option<PartHeader> {
    let mut header = PartHeader::default();
    let text = std::str::from_utf8(bytes).ok()?;
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.is_empty() || line.contains(|c: char| c.is_control() && c != '\t') {
            return None;
        }
        if name.eq_ignore_ascii_case("content-type") {
            let is_double = header.content_type.replace(value.to_owned()).is_some();
            if is_double {
                return None;
            }
        } else if name.eq_ignore_ascii_case("content-length") {
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let is_double = header.content_length.replace(value.parse().ok()?).is_some();
            if is_double || !is_number {
                return None;
            }
        }
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Part = (PartHeader, Vec<u8>);

    /// Whole parts of a message that comes in pieces of these sizes.
    fn read(boundary: &str, message: &[u8], sizes: &[usize]) -> Result<Vec<Part>, MultipartFault> {
        let mut reader = MultipartReader::new(boundary)?;
        let (mut parts, mut open): (Vec<Part>, Option<Part>) = (Vec::new(), None);
        let mut rest = message;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).clamp(1, rest.len());
            let (piece, after) = rest.split_at(size);
            rest = after;
            reader.push(piece, |event| {
                match event {
                    Event::Begin(header) => open = Some((header, Vec::new())),
                    Event::Data(data) => open.as_mut().unwrap().1.extend_from_slice(data),
                    Event::End => parts.push(open.take().unwrap()),
                }
                Ok::<_, MultipartFault>(())
            })?;
            assert!(reader.waiting.len() <= MAX_HEADER + 80 + size);
        }
        reader.finish()?;
        assert_eq!(reader.parts(), parts.len() as u64);
        Ok(parts)
    }

    fn message(boundary: &str, contents: &[Vec<u8>]) -> Vec<u8> {
        let mut message = b"ahead".to_vec();
        for content in contents {
            message.extend(format!("\r\n--{boundary} \r\nContent-Type: application/dicom\r\n\r\n").bytes());
            message.extend(content);
        }
        message.extend(format!("\r\n--{boundary}--\r\nbehind").bytes());
        message
    }

    #[test]
    fn parts_come_out_as_they_are() {
        let text = b"--b\r\ncontent-length: 3\r\nX: y\r\n\r\nabc\r\n--b\r\n\r\n\r\n--b--";
        for sizes in [[1], [2], [3], [7], [1000]] {
            let parts = read("b", text, &sizes).unwrap();
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[0].1, b"abc");
            assert_eq!(parts[0].0.content_length, Some(3));
            assert_eq!(parts[1], (PartHeader::default(), Vec::new()));
        }
    }

    #[test]
    fn what_ends_early_is_truncated_wherever_it_ends() {
        let whole = message("b-1", &[b"abc".to_vec(), b"\r\n--b-".to_vec()]);
        let closed = whole.len() - b"\r\nbehind".len();
        assert_eq!(read("b-1", &whole[..closed], &[5]).unwrap().len(), 2);
        for end in 1..closed {
            assert_eq!(
                read("b-1", &whole[..end], &[5]),
                Err(MultipartFault::Truncated),
                "{end}"
            );
        }
    }

    #[test]
    fn each_fault_is_told() {
        let long = format!("--b\r\nX: {}", "y".repeat(MAX_HEADER));
        let cases: [(&[u8], MultipartFault); 10] = [
            (b"", MultipartFault::Truncated),
            (b"--bc\r\n\r\n", MultipartFault::BoundaryLine),
            (b"--b x\r\n\r\n", MultipartFault::BoundaryLine),
            (b"--b\r\nno colon\r\n\r\n", MultipartFault::Header),
            (b"--b\r\nContent-Length: -1\r\n\r\n", MultipartFault::Header),
            (
                b"--b\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                MultipartFault::Header,
            ),
            (b"--b\r\n\xff: x\r\n\r\n", MultipartFault::Header),
            (
                b"--b\r\nContent-Length: 2\r\n\r\nabc\r\n--b--",
                MultipartFault::Length,
            ),
            (
                b"--b\r\nContent-Length: 4\r\n\r\nabc\r\n--b--",
                MultipartFault::Length,
            ),
            (long.as_bytes(), MultipartFault::LongHeader),
        ];
        for (text, fault) in cases {
            for sizes in [[1], [9], [100_000]] {
                assert_eq!(read("b", text, &sizes), Err(fault), "{:?}", text.get(..20));
            }
        }
        let around = vec![b'x'; MAX_AROUND + 10];
        assert_eq!(read("b", &around, &[999]), Err(MultipartFault::Around));
        let behind = [b"--b--".to_vec(), around].concat();
        assert_eq!(read("b", &behind, &[999]), Err(MultipartFault::Around));
        for boundary in ["", "a\r\nb", "ä", "a ", &"a".repeat(71)] {
            assert_eq!(
                MultipartReader::new(boundary).unwrap_err(),
                MultipartFault::Boundary,
                "{boundary:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_content_in_any_pieces_comes_out(
            contents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n-b1xy".to_vec()), 0..40), 0..5),
            sizes in prop::collection::vec(1_usize..30, 1..6),
        ) {
            // 'q' is in no content
            let parts = read("b1q", &message("b1q", &contents), &sizes).unwrap();
            let found: Vec<Vec<u8>> = parts.into_iter().map(|(_, content)| content).collect();
            prop_assert_eq!(found, contents);
        }

        #[test]
        fn the_size_of_pieces_does_not_matter(
            message in prop::collection::vec(prop::sample::select(b"\r\n-b: c".to_vec()), 0..80),
            sizes in prop::collection::vec(1_usize..9, 1..4),
        ) {
            prop_assert_eq!(read("b", &message, &sizes), read("b", &message, &[1000]));
        }
    }
}
