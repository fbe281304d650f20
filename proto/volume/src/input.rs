//! The bytes of a file as a stream, decompressed if need be, with every failure typed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::VolumeError;
use crate::source::{DataSource, Source, Sources};
use crate::zlib::Zlib;

const BUFFER_BYTES: usize = 256 << 10;

/// Most bytes that one byte of deflate can become: 258 bytes from two bits.
pub(crate) const MAX_DEFLATE_RATIO: u64 = 1032;

/// After the last voxel, this much more is read from a gzip stream to reach its checksum; past it the file is refused.
const MAX_TRAILING_BYTES: u64 = 1 << 20;

/// Gzip members that hold nothing; a few are normal (the end mark of blocked gzip), millions are an attack on time.
const MAX_EMPTY_MEMBERS: u32 = 1024;

/// Counts the bytes taken from the file.
struct Counted<R> {
    inner: R,
    n_bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n_bytes += n as u64;
        Ok(n)
    }
}

type File<R> = BufReader<Counted<R>>;

/// All members of a gzip file one after the other. What follows the last one and is no member is ignored, as gzip does.
enum Gzip<R: Read> {
    Member {
        decoder: Box<GzDecoder<File<R>>>,
        is_empty: bool,
        n_empty: u32,
    },
    End(File<R>),
    /// While the file moves from one decoder to the next.
    Moving,
}

enum Stream<R: Read> {
    Plain(File<R>),
    Gzip(Gzip<R>),
    Zlib(Zlib<File<R>>),
    /// While the file moves to a decoder.
    Moving,
}

/// How a format compresses what follows its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// To the end of the file.
    Gzip,
    /// So many bytes.
    Zlib { n_bytes: u64 },
}

/// The files of a volume being read from their start.
pub(crate) struct Input<'a, R: Read> {
    stream: Stream<R>,
    name: &'a str,
    /// Where the voxels are, as long as the header is read.
    data: Option<DataSource<'a, R>>,
    /// Taken from the header's file, once the other one is read.
    header_bytes: u64,
}

fn buffered<R: Read>(file: R) -> File<R> {
    let counted = Counted {
        inner: file,
        n_bytes: 0,
    };
    BufReader::with_capacity(BUFFER_BYTES, counted)
}

impl<'a, R: Source> Input<'a, R> {
    /// Looks at the first two bytes: gzip has a magic, the name does not matter.
    pub(crate) fn new(sources: Sources<'a, R>, name: &'a str) -> Result<Self, VolumeError> {
        let mut file = buffered(sources.header);
        let is_gzip = starts_member(&mut file).map_err(|source| VolumeError::Read {
            name: name.to_owned(),
            source,
        })?;
        let stream = Stream::Plain(file);
        let mut input = Input {
            stream,
            name,
            data: sources.data,
            header_bytes: 0,
        };
        if is_gzip {
            input.decompress(Compression::Gzip);
        }
        Ok(input)
    }

    /// From here on the file is compressed. Of one that is compressed as a whole nothing changes.
    pub(crate) fn decompress(&mut self, compression: Compression) {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Moving) {
            Stream::Plain(mut file) => {
                file.get_mut().inner.decompressed_from_here();
                match compression {
                    Compression::Gzip => Stream::Gzip(Gzip::member(file, 0)),
                    Compression::Zlib { n_bytes } => Stream::Zlib(Zlib::new(file, n_bytes)),
                }
            }
            compressed => compressed,
        };
    }
}

impl<'a, R: Read> Input<'a, R> {
    /// The file with the voxels, if there is one that was not taken yet.
    pub(crate) fn take_data(&mut self) -> Option<DataSource<'a, R>> {
        self.data.take()
    }

    /// What is read next comes from the start of another file.
    pub(crate) fn go_on_with(&mut self, file: R) {
        self.header_bytes = self.bytes_read();
        self.stream = Stream::Plain(buffered(file));
    }

    /// As named by the caller.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// Whether what is read next comes out of a decoder.
    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self.stream, Stream::Plain(_))
    }

    /// Appends the rest of a line with its `\n`, at most `limit` bytes; says whether the line ended.
    pub(crate) fn read_line(&mut self, line: &mut Vec<u8>, limit: u64) -> Result<bool, VolumeError> {
        let read = match &mut self.stream {
            Stream::Plain(file) => file.take(limit).read_until(b'\n', line),
            _ => Err(io::ErrorKind::Unsupported.into()), // headers of text are not compressed
        };
        read.map_err(|source| self.error(source))?;
        Ok(line.last() == Some(&b'\n'))
    }

    /// Bytes taken from the files so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        let file = match &self.stream {
            Stream::Plain(file) | Stream::Gzip(Gzip::End(file)) => file,
            Stream::Gzip(Gzip::Member { decoder, .. }) => decoder.get_ref(),
            Stream::Zlib(zlib) => zlib.file(),
            Stream::Gzip(Gzip::Moving) | Stream::Moving => return 0,
        };
        self.header_bytes + file.get_ref().n_bytes
    }

    /// Fills as much of `buffer` as there is; less only at the end of the file.
    pub(crate) fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, VolumeError> {
        let mut n = 0;
        while n < buffer.len() {
            match self.read_some(&mut buffer[n..]) {
                Ok(0) => break,
                Ok(some) => n += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A stream cut short: the caller knows what is missing.
                Err(error) if self.is_compressed() && error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(source) => return Err(self.error(source)),
            }
        }
        Ok(n)
    }

    /// Skips bytes; returns how many there were.
    pub(crate) fn skip(&mut self, n_bytes: u64) -> Result<u64, VolumeError> {
        let mut scratch = [0; 4096];
        let mut left = n_bytes;
        while left > 0 {
            let want = left.min(scratch.len() as u64) as usize;
            let n = self.read_up_to(&mut scratch[..want])?;
            left -= n as u64;
            if n < want {
                break;
            }
        }
        Ok(n_bytes - left)
    }

    /// After the last voxel: a compressed stream must end soon, and its checksum must match.
    pub(crate) fn finish(&mut self) -> Result<(), VolumeError> {
        if !self.is_compressed() {
            return Ok(());
        }
        let mut scratch = [0; 4096];
        let mut n_trailing = 0;
        loop {
            match self.read_some(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(n) => n_trailing += n as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.error(source)),
            }
            if n_trailing > MAX_TRAILING_BYTES {
                return Err(VolumeError::TrailingData {
                    name: self.name.to_owned(),
                    allowed: MAX_TRAILING_BYTES,
                });
            }
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(file) => file.read(buffer),
            Stream::Gzip(gzip) => gzip.read(buffer),
            Stream::Zlib(zlib) => zlib.read(buffer),
            Stream::Moving => Ok(0),
        }
    }

    /// Tells a broken stream from a file that the system cannot read.
    fn error(&self, source: io::Error) -> VolumeError {
        let name = self.name.to_owned();
        let broken = matches!(
            source.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        );
        match &self.stream {
            Stream::Gzip(_) if broken && source.raw_os_error().is_none() => {
                VolumeError::Gzip { name, source }
            }
            Stream::Zlib(_) if broken && source.raw_os_error().is_none() => {
                VolumeError::Zlib { name, source }
            }
            _ => VolumeError::Read { name, source },
        }
    }
}

fn starts_member<B: BufRead>(file: &mut B) -> io::Result<bool> {
    let ahead = file.fill_buf()?;
    // One byte can be all that is left in the buffer; the decoder checks the second.
    Ok(ahead.first() == Some(&0x1f) && ahead.get(1).is_none_or(|&second| second == 0x8b))
}

impl<R: Read> Gzip<R> {
    fn member(file: File<R>, n_empty: u32) -> Self {
        Gzip::Member {
            decoder: Box::new(GzDecoder::new(file)),
            is_empty: true,
            n_empty,
        }
    }

    /// `buffer` is not empty.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Gzip::Member {
                decoder,
                is_empty,
                n_empty,
            } = self
            else {
                return Ok(0);
            };
            let n = decoder.read(buffer)?;
            if n > 0 {
                *is_empty = false;
                return Ok(n);
            }
            let n_empty = *n_empty + u32::from(*is_empty);
            if n_empty > MAX_EMPTY_MEMBERS {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "too many empty gzip members",
                ));
            }
            // The decoder has checked the checksum of the member that ends here.
            let Gzip::Member { decoder, .. } = std::mem::replace(self, Gzip::Moving) else {
                return Ok(0);
            };
            let mut file = decoder.into_inner();
            let more = starts_member(&mut file);
            *self = if matches!(more, Ok(true)) {
                Gzip::member(file, n_empty)
            } else {
                Gzip::End(file)
            };
            more?;
        }
    }
}
