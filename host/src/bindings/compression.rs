//! `caddis:engine/compression`: gzip, zlib and deflate, a piece at a time.
//!
//! A call is bounded in what it takes and gives, so that it is short and a bomb unpacks into the guest's memory, which has its limit, and not
//! into the host's.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::bufread::{DeflateDecoder, DeflateEncoder, GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use crate::tunables::{CODEC_INPUT_BYTES, CODEC_OUTPUT_BYTES, CODECS, COMPRESSION_CPU_TIME};

/// What `bindgen!` makes of `javy-shim/wit/compression.wit`.
mod generated {
    wasmtime::component::bindgen!({
        path: ["../wit", "../javy-shim/wit"],
        world: "caddis:engine/compressing",
        imports: { default: trappable },
        require_store_data_send: true,
        with: { "caddis:engine/compression.codec": super::Codec },
    });
}

use generated::caddis::engine::compression as wit;
use wit::{Direction, Error, Format, Progress};

/// What one execution may still spend.
#[derive(Debug)]
pub struct CompressionState {
    cpu_left: Duration,
    /// Every codec that is open has a clone.
    open: Arc<()>,
}

impl Default for CompressionState {
    fn default() -> Self {
        Self { cpu_left: COMPRESSION_CPU_TIME, open: Arc::default() }
    }
}

/// What `compression` sees of a store: the codecs live in its table.
pub struct CompressionView<'a> {
    /// What may still be spent.
    pub state: &'a mut CompressionState,
    /// Where the codecs are.
    pub table: &'a mut ResourceTable,
}

struct Compressing;
impl HasData for Compressing {
    type Data<'a> = CompressionView<'a>;
}

/// Adds the interface to a linker.
pub fn link<T: super::Views>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, Compressing>(linker, T::compression)
}

/// Bytes of the header of gzip.
const GZIP_HEADER: usize = 10;

/// A stream a guest has open.
pub struct Codec {
    stream: Box<dyn Stream>,
    /// What is left of the header. It is read by itself: flate2's encoder forgets it when the data behind it is not there yet.
    header_left: usize,
    _open: Arc<()>,
}

/// Input that comes in pieces: who reads beyond what has come is told to come back.
#[derive(Default)]
struct Pieces {
    data: Vec<u8>,
    position: usize,
    complete: bool,
}

impl Pieces {
    fn left(&self) -> &[u8] {
        self.data.get(self.position..).unwrap_or_default()
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left().is_empty() && !self.complete {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(self.left())
    }

    fn consume(&mut self, bytes: usize) {
        self.position = self.position.saturating_add(bytes);
    }
}

/// A reader of what has become of pieces.
trait Stream: Read + Send {
    fn pieces(&mut self) -> &mut Pieces;
}

macro_rules! streams {
    ($($reader:ident),+) => {
        $(impl Stream for $reader<Pieces> {
            fn pieces(&mut self) -> &mut Pieces {
                self.get_mut()
            }
        })+
    };
}
streams!(DeflateDecoder, DeflateEncoder, GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder);

fn stream(format: Format, direction: Direction) -> Box<dyn Stream> {
    let pieces = Pieces::default();
    match (format, direction) {
        (Format::Gzip, Direction::Decompress) => Box::new(GzDecoder::new(pieces)),
        (Format::Deflate, Direction::Decompress) => Box::new(ZlibDecoder::new(pieces)),
        (Format::DeflateRaw, Direction::Decompress) => Box::new(DeflateDecoder::new(pieces)),
        (format, Direction::Compress(effort)) => {
            let effort = Compression::new(effort.min(9).into());
            match format {
                Format::Gzip => Box::new(GzEncoder::new(pieces, effort)),
                Format::Deflate => Box::new(ZlibEncoder::new(pieces, effort)),
                Format::DeflateRaw => Box::new(DeflateEncoder::new(pieces, effort)),
            }
        }
    }
}

fn limit(message: String) -> Error {
    Error::Limit(message)
}

impl Codec {
    fn new(format: Format, direction: Direction, open: Arc<()>) -> Self {
        let has_header = matches!((format, direction), (Format::Gzip, Direction::Compress(_)));
        let header_left = if has_header { GZIP_HEADER } else { 0 };
        Self { stream: stream(format, direction), header_left, _open: open }
    }

    fn convert(&mut self, input: Vec<u8>, last: bool) -> Result<(Vec<u8>, Progress), Error> {
        if input.len() > CODEC_INPUT_BYTES {
            return Err(limit(format!(
                "the input of one call has {} bytes; at most {CODEC_INPUT_BYTES} are taken",
                input.len()
            )));
        }
        let pieces = self.stream.pieces();
        if !input.is_empty() {
            if !pieces.left().is_empty() {
                return Err(Error::InvalidData("input was given while there was more output".to_owned()));
            }
            (pieces.data, pieces.position) = (input, 0);
        }
        pieces.complete |= last;
        self.read()
    }

    fn read(&mut self) -> Result<(Vec<u8>, Progress), Error> {
        let mut output = vec![0; CODEC_OUTPUT_BYTES];
        let mut filled = 0;
        let progress = loop {
            let free = output.get_mut(filled..).unwrap_or_default();
            if free.is_empty() {
                break Progress::HasOutput;
            }
            let room = if self.header_left > 0 { self.header_left.min(free.len()) } else { free.len() };
            match self.stream.read(free.get_mut(..room).unwrap_or_default()) {
                Ok(0) => {
                    let unused = self.stream.pieces().left().len();
                    break Progress::Ended(u32::try_from(unused).unwrap_or(u32::MAX));
                }
                Ok(read) => {
                    filled = filled.saturating_add(read);
                    self.header_left = self.header_left.saturating_sub(read);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Progress::WantsInput,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Error::InvalidData("the compressed data ends too early".to_owned()));
                }
                Err(error) => return Err(Error::InvalidData(format!("the compressed data is damaged: {error}"))),
            }
        };
        output.truncate(filled);
        output.shrink_to_fit();
        Ok((output, progress))
    }
}

impl wit::Host for CompressionView<'_> {}

impl wit::HostCodec for CompressionView<'_> {
    fn open(&mut self, format: Format, direction: Direction) -> wasmtime::Result<Result<Resource<Codec>, Error>> {
        if Arc::strong_count(&self.state.open) > CODECS {
            return Ok(Err(limit(format!("a request may have {CODECS} compression streams at a time"))));
        }
        let codec = Codec::new(format, direction, self.state.open.clone());
        Ok(self.table.push(codec).map_err(|_| limit("the request holds too many resources of the host".to_owned())))
    }

    fn convert(
        &mut self,
        codec: Resource<Codec>,
        input: Vec<u8>,
        last: bool,
    ) -> wasmtime::Result<Result<(Vec<u8>, Progress), Error>> {
        if self.state.cpu_left.is_zero() {
            let seconds = COMPRESSION_CPU_TIME.as_secs();
            return Ok(Err(limit(format!("compression may use {seconds} seconds of CPU in one request"))));
        }
        let begun = cpu_time();
        let converted = self.table.get_mut(&codec)?.convert(input, last);
        self.state.cpu_left = self.state.cpu_left.saturating_sub(cpu_time().saturating_sub(begun));
        Ok(converted)
    }

    fn drop(&mut self, codec: Resource<Codec>) -> wasmtime::Result<()> {
        self.table.delete(codec)?;
        Ok(())
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 3] = [Format::Gzip, Format::Deflate, Format::DeflateRaw];

    fn codec(format: Format, direction: Direction) -> Codec {
        Codec::new(format, direction, Arc::default())
    }

    /// Everything, in pieces of a size; and what was left over.
    fn run(format: Format, direction: Direction, input: &[u8], size: usize) -> Result<(Vec<u8>, usize), Error> {
        let mut codec = codec(format, direction);
        let mut output = Vec::new();
        let mut pieces = input.chunks(size).peekable();
        loop {
            let piece = pieces.next().unwrap_or_default();
            let last = pieces.peek().is_none();
            let (mut part, mut progress) = codec.convert(piece.to_vec(), last)?;
            while matches!(progress, Progress::HasOutput) {
                assert_eq!(part.len(), CODEC_OUTPUT_BYTES);
                output.append(&mut part);
                (part, progress) = codec.convert(Vec::new(), last)?;
            }
            output.append(&mut part);
            if let Progress::Ended(unused) = progress {
                return Ok((output, unused as usize + pieces.map(<[u8]>::len).sum::<usize>()));
            }
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for text in [&b""[..], b"a", &b"hello ".repeat(50_000), &noise] {
            for format in FORMATS {
                for size in [1_000, CODEC_INPUT_BYTES] {
                    let (packed, _) = run(format, Direction::Compress(6), text, size).unwrap();
                    assert_eq!(run(format, Direction::Decompress, &packed, size).unwrap(), (text.to_vec(), 0));
                }
            }
        }
    }

    #[test]
    fn what_is_left_over_is_counted() {
        for format in FORMATS {
            let (packed, _) = run(format, Direction::Compress(9), b"hello", 100).unwrap();
            let more = [&packed[..], b"more"].concat();
            for size in [1, 100] {
                let unpacked = run(format, Direction::Decompress, &more, size).unwrap();
                assert_eq!(unpacked, (b"hello".to_vec(), 4), "{format:?}");
            }
        }
    }

    #[test]
    fn damaged_data_is_an_error() {
        for format in FORMATS {
            let (packed, _) = run(format, Direction::Compress(6), &b"hello ".repeat(99), 1_000).unwrap();
            for end in 0..packed.len() {
                let cut = run(format, Direction::Decompress, &packed[..end], 7);
                assert!(
                    matches!(&cut, Err(Error::InvalidData(text)) if text.contains("too early")),
                    "{format:?} {cut:?}"
                );
            }
        }
        for format in [Format::Gzip, Format::Deflate] {
            let (mut packed, _) = run(format, Direction::Compress(6), b"hello", 100).unwrap();
            *packed.last_mut().unwrap() ^= 1;
            assert!(
                matches!(run(format, Direction::Decompress, &packed, 100), Err(Error::InvalidData(_))),
                "{format:?}"
            );
            assert!(matches!(run(format, Direction::Decompress, b"garbage in here", 100), Err(Error::InvalidData(_))));
        }
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let (packed, _) = run(Format::Gzip, Direction::Compress(9), &vec![0; 20 << 20], CODEC_INPUT_BYTES).unwrap();
        let mut bomb = codec(Format::Gzip, Direction::Decompress);
        let (part, progress) = bomb.convert(packed[..packed.len().min(CODEC_INPUT_BYTES)].to_vec(), false).unwrap();
        assert_eq!(part.len(), CODEC_OUTPUT_BYTES);
        assert!(matches!(progress, Progress::HasOutput), "{progress:?}");
        let too_early = bomb.convert(vec![0], false);
        assert!(matches!(too_early, Err(Error::InvalidData(_))), "{too_early:?}");
    }

    #[test]
    fn calls_and_codecs_have_limits() {
        let mut table = ResourceTable::new();
        let mut state = CompressionState::default();
        let mut view = CompressionView { state: &mut state, table: &mut table };
        let open =
            |view: &mut CompressionView<'_>| wit::HostCodec::open(view, Format::Gzip, Direction::Decompress).unwrap();
        let codecs: Vec<_> = (0..CODECS).map(|_| open(&mut view).unwrap()).collect();
        assert!(matches!(open(&mut view), Err(Error::Limit(_))));
        for codec in codecs {
            wit::HostCodec::drop(&mut view, codec).unwrap();
        }
        let codec = open(&mut view).unwrap();
        let handle = || Resource::new_borrow(codec.rep());
        let convert =
            |view: &mut CompressionView<'_>, bytes| wit::HostCodec::convert(view, handle(), vec![0x1f; bytes], false);
        assert!(matches!(convert(&mut view, CODEC_INPUT_BYTES + 1).unwrap(), Err(Error::Limit(_))));
        view.state.cpu_left = Duration::ZERO;
        assert!(matches!(convert(&mut view, 1).unwrap(), Err(Error::Limit(text)) if text.contains("10 seconds")));
    }
}
