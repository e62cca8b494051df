use std::io::{self, BufRead, BufReader, Read};

use crate::error::{ErrorKind, ImageError, Result};

const BUFFER: usize = 128 * 1024;

/// How a stream is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The OCI media type of a layer compressed so.
    pub(crate) fn layer_media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// The plain bytes of a stream that may be compressed by gzip or zstd.
pub fn plain<'a>(stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    Ok(decompress(stream)?.0)
}

/// Tells the compression of a stream and gives its plain bytes.
pub(crate) fn decompress<'a>(stream: impl Read + 'a) -> Result<(Box<dyn Read + 'a>, Compression)> {
    let mut stream = BufReader::with_capacity(BUFFER, Leading::new(stream));
    let head = stream
        .fill_buf()
        .map_err(|e| ImageError::reading("read archive", e))?;
    let unsupported = |name: &str| {
        let text = format!("{name} compression is not supported: use gzip, zstd or none");
        Err(ImageError::new(ErrorKind::Unsupported, text))
    };
    match head {
        [0x1f, 0x8b, 0x08, ..] => Ok((
            Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
            Compression::Gzip,
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let decoder = zstd::Decoder::with_buffer(stream).map_err(|e| ImageError::io("start zstd", e))?;
            Ok((Box::new(decoder), Compression::Zstd))
        }
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] => unsupported("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unsupported("xz"),
        _ => Ok((Box::new(stream), Compression::None)),
    }
}

/// Makes the first read give enough bytes to tell the format by, also from a slow pipe.
struct Leading<R> {
    inner: R,
    first: bool,
}

impl<R: Read> Leading<R> {
    fn new(inner: R) -> Self {
        Self { inner, first: true }
    }
}

impl<R: Read> Read for Leading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.first {
            return self.inner.read(buffer);
        }
        self.first = false;
        let mut filled = 0;
        while filled < buffer.len().min(6) {
            match self.inner.read(&mut buffer[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }
}
