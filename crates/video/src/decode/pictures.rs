use std::io::Read;

use crate::jpeg::{self, Extent};

/// Bytes asked from the pipe at a time.
const PIECE_BYTES: usize = 256 << 10;
/// A picture longer than this is none: 16 times what a frame of 2048 x 32768 pixels takes at 8 bits each.
const MAX_JPEG_BYTES: usize = 1 << 30;

/// Takes a stream of JPEGs, one after the other, apart.
pub(super) struct Pictures<R> {
    from: R,
    buffer: Vec<u8>,
    /// Bytes of `buffer` handed out already.
    taken: usize,
}

impl<R: Read> Pictures<R> {
    pub(super) fn new(from: R) -> Self {
        Pictures { from, buffer: Vec::new(), taken: 0 }
    }

    /// The next picture; `None` at the end of the stream or where it is no JPEG any more.
    pub(super) fn next(&mut self) -> std::io::Result<Option<(Extent, &[u8])>> {
        let outline = loop {
            match jpeg::outline(&self.buffer[self.taken..]) {
                jpeg::Outline::Whole(outline) => break outline,
                jpeg::Outline::Damaged => return Ok(None),
                jpeg::Outline::CutShort => {
                    if self.buffer.len() - self.taken > MAX_JPEG_BYTES || !self.read_more()? {
                        return Ok(None);
                    }
                }
            }
        };
        let jpeg = self.taken..self.taken + outline.num_bytes;
        self.taken = jpeg.end;
        Ok(Some((outline, &self.buffer[jpeg])))
    }

    /// `false` at the end of the stream.
    fn read_more(&mut self) -> std::io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + PIECE_BYTES, 0);
        let read = self.from.read(&mut self.buffer[len..]);
        self.buffer.truncate(len + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time, as a slow pipe does.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let len = self.1.min(self.0.len()).min(buf.len());
            buf[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    #[test]
    fn pictures_come_apart_wherever_the_pipe_breaks() {
        let grey = |side: u32, value: u8| jpeg::encode(side, side, &vec![value; (side * side * 3) as usize]).unwrap();
        let jpegs = [grey(16, 20), grey(24, 200), grey(8, 90)];
        let stream = jpegs.concat();
        for step in [1, 7, 100, stream.len()] {
            let mut pictures = Pictures::new(Drip(&stream, step));
            for jpeg in &jpegs {
                let (extent, bytes) = pictures.next().unwrap().unwrap();
                assert!(bytes == jpeg, "step {step}");
                assert_eq!(extent.width_px, jpeg::decode(jpeg).unwrap().width_px);
            }
            assert!(pictures.next().unwrap().is_none());
        }
        let cut = &stream[..stream.len() - 1];
        let mut pictures = Pictures::new(cut);
        assert_eq!(std::iter::from_fn(|| pictures.next().unwrap().map(|(extent, _)| extent)).count(), 2);
    }
}
