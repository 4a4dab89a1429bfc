//! The bytes of a TensorBoard event: a protocol buffer in a TFRecord. Field numbers are those of tensorflow's
//! `event.proto` and `summary.proto`; only what a run writes is here.

/// One entry of an event file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// First entry of every file: from version 2 on, readers heed `Restart`.
    FileVersion,
    /// What earlier files hold of this step and later ones is to be dropped.
    Restart,
    /// Numbers by tag; a reader keeps them as f32.
    Scalars(&'a [(String, f64)]),
    /// A picture.
    Image(Image<'a>),
}

/// A PNG file to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'a> {
    /// What it shows: images of one tag are a series over steps. The part before the first `/` is its group.
    pub(crate) tag: &'a str,
    /// The file's bytes, RGB.
    pub(crate) png: &'a [u8],
    /// Pixels, horizontal.
    pub(crate) width: u64,
    /// Pixels, vertical.
    pub(crate) height: u64,
}

impl Event<'_> {
    /// The entry as it stands in the file.
    ///
    /// * `wall_secs` - seconds since 1970
    pub(super) fn record(&self, wall_secs: f64, step: u64) -> Vec<u8> {
        record(&self.message(wall_secs, step))
    }

    fn message(&self, wall_secs: f64, step: u64) -> Vec<u8> {
        let mut event = Message::default();
        event.fixed64(1, wall_secs.to_le_bytes());
        event.varint(2, step);
        match self {
            Event::FileVersion => event.bytes(3, b"brain.Event:2"),
            Event::Restart => event.bytes(7, &session_start()),
            Event::Scalars(values) => event.bytes(5, &scalars(values)),
            Event::Image(image) => event.bytes(5, &image.summary()),
        }
        event.0
    }
}

/// `SessionLog { status: START }`.
fn session_start() -> Vec<u8> {
    let mut log = Message::default();
    log.varint(1, 1);
    log.0
}

/// `Summary { value: [{ tag, simple_value }, ..] }`.
fn scalars(values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, number) in values {
        let mut value = Message::default();
        value.bytes(1, tag.as_bytes());
        value.fixed32(2, (*number as f32).to_le_bytes());
        summary.bytes(1, &value.0);
    }
    summary.0
}

impl Image<'_> {
    /// `Summary { value: [{ tag, image: { height, width, colorspace, encoded_image_string } }] }`.
    fn summary(&self) -> Vec<u8> {
        /// Channels of an RGB picture.
        const RGB: u64 = 3;
        let mut image = Message::default();
        image.varint(1, self.height);
        image.varint(2, self.width);
        image.varint(3, RGB);
        image.bytes(4, self.png);
        let mut value = Message::default();
        value.bytes(1, self.tag.as_bytes());
        value.bytes(4, &image.0);
        let mut summary = Message::default();
        summary.bytes(1, &value.0);
        summary.0
    }
}

/// A protocol buffer's message in the making. A field is its number and wire type in one varint, then its value.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u8, value: u64) {
        self.0.push(field << 3);
        self.push_varint(value);
    }

    fn fixed64(&mut self, field: u8, value: [u8; 8]) {
        self.0.push(field << 3 | 1);
        self.0.extend(value);
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        self.0.push(field << 3 | 2);
        self.push_varint(value.len() as u64);
        self.0.extend(value);
    }

    fn fixed32(&mut self, field: u8, value: [u8; 4]) {
        self.0.push(field << 3 | 5);
        self.0.extend(value);
    }

    /// Seven bits per byte, the lowest first; all but the last byte have the highest bit set.
    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A TFRecord: length, its checksum, contents, their checksum.
fn record(contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u64).to_le_bytes();
    [&length[..], &masked_crc32c(&length).to_le_bytes(), contents, &masked_crc32c(contents).to_le_bytes()].concat()
}

/// The checksum as TFRecords hold it: rotated and shifted, so that a checksum of bytes with checksums in them is sound.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, RFC 3720), bit by bit: a run writes a few events per second at most.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The polynomial, lowest bit first.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        for (bytes, want) in [
            (&[0u8; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (&descending, 0x113f_db5c),
            (b"123456789", 0xe306_9283),
        ] {
            assert_eq!(crc32c(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_record_is_the_one_that_tensorboard_writes() {
        // RecordWriter of tensorboard 2.20.0, of Event(wall_time=1.5, step=300, summary=Summary(value=[
        // Summary.Value(tag="a", simple_value=0.5)])).SerializeToString().
        let want = b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\
            \x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01\x61\x15\0\0\0\x3f\
            \x64\x07\x6a\x3f";
        assert_eq!(Event::Scalars(&[("a".to_owned(), 0.5)]).record(1.5, 300), want);
    }

    #[test]
    fn a_file_begins_with_its_version() {
        // Step 0, then a text of 13 bytes.
        assert_eq!(Event::FileVersion.message(0.0, 0)[9..], *b"\x10\0\x1a\x0dbrain.Event:2");
    }

    #[test]
    fn a_restart_is_a_session_that_starts() {
        assert_eq!(Event::Restart.message(0.0, 5)[9..], *b"\x10\x05\x3a\x02\x08\x01");
    }

    #[test]
    fn a_picture_carries_its_size_and_its_file() {
        let image = Image { tag: "p", png: b"PNG", width: 2, height: 1 };
        // image: 08 01, 10 02, 18 03, 22 03 PNG = 11 bytes; value: 0a 01 p, 22 0b image = 16; summary: 0a 10 value = 18.
        let want = b"\x10\x01\x2a\x12\x0a\x10\x0a\x01p\x22\x0b\x08\x01\x10\x02\x18\x03\x22\x03PNG";
        assert_eq!(Event::Image(image).message(0.0, 1)[9..], *want);
    }
}
