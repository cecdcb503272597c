//! Protobuf messages, written field by field into a buffer, and read field by field.
//!
//! Spec: <https://protobuf.dev/programming-guides/encoding/>.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Appends the fields of one message to a buffer.
///
/// Every field is written that is given, zeros and empty texts too: who leaves out what is not known does so himself.
#[derive(Debug)]
pub struct Message<'a>(pub &'a mut Vec<u8>);

/// The value of an OpenTelemetry attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
}

impl Message<'_> {
    /// A `uint32`, `uint64`, `bool` or enumeration.
    pub fn uint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    /// An `int64`.
    pub fn int(&mut self, field: u32, value: i64) {
        // Two's complement, ten bytes for what is negative.
        self.uint(field, value.cast_unsigned());
    }

    /// A `fixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// `bytes`, or a message that is written already.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, LENGTH);
        self.varint(wide(value.len()));
        self.0.extend_from_slice(value);
    }

    /// A `string`.
    pub fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message inside this one.
    pub fn nested(&mut self, field: u32, write: impl FnOnce(&mut Message<'_>)) {
        self.key(field, LENGTH);
        // Most messages are shorter than 128 bytes, whose length is one byte.
        let at = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - at - 1;
        if let (Ok(byte @ ..=0x7f), Some(place)) = (u8::try_from(length), self.0.get_mut(at)) {
            *place = byte;
            return;
        }
        let mut digits = [0; 10];
        let digits = varint(wide(length), &mut digits);
        self.0.splice(at..=at, digits.iter().copied());
    }

    /// An OpenTelemetry `KeyValue`. Spans are made of little else, so lengths are counted before they are written.
    pub fn attribute(&mut self, field: u32, key: &str, value: Value<'_>) {
        // `AnyValue`
        let value_bytes = 1 + match value {
            Value::Text(text) => varint_bytes(wide(text.len())) + text.len(),
            Value::Int(number) => varint_bytes(number.cast_unsigned()),
        };
        let key_bytes = 1 + varint_bytes(wide(key.len())) + key.len();
        self.key(field, LENGTH);
        self.varint(wide(key_bytes + 1 + varint_bytes(wide(value_bytes)) + value_bytes));
        self.text(1, key);
        self.key(2, LENGTH);
        self.varint(wide(value_bytes));
        match value {
            Value::Text(text) => self.text(1, text),
            Value::Int(number) => self.int(3, number),
        }
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, value: u64) {
        if let Ok(byte @ ..=0x7f) = u8::try_from(value) {
            self.0.push(byte);
            return;
        }
        let mut digits = [0; 10];
        self.0.extend_from_slice(varint(value, &mut digits));
    }
}

/// Bytes of a varint: seven bits in each.
fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

fn varint(value: u64, digits: &mut [u8; 10]) -> &[u8] {
    let mut left = value;
    let mut length = 0;
    for digit in digits.iter_mut() {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        length += 1;
        if left == 0 {
            *digit = low;
            break;
        }
        *digit = low | 0x80;
    }
    digits.get(..length).unwrap_or_default()
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// One field of a message that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// A whole number.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Bytes, text, or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message with their numbers, up to the first that is malformed.
#[must_use]
pub const fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

/// The fields of a message.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = u32::try_from(self.varint()?).ok()?;
        let value = match key & 7 {
            VARINT => Field::Varint(self.varint()?),
            FIXED64 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            FIXED32 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take(1)? else { return None };
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Message<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Message(&mut bytes));
        bytes
    }

    #[test]
    fn fields_are_written_as_the_specification_shows_them() {
        // The examples of the encoding guide: 150 in field 1, "testing" in field 2, a message with 150 in field 3.
        assert_eq!(written(|m| m.uint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(|m| m.text(2, "testing")), *b"\x12\x07testing");
        assert_eq!(written(|m| m.nested(3, |m| m.uint(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(written(|m| m.fixed32(16, 1)), [0x85, 0x01, 1, 0, 0, 0]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(written(|m| m.int(1, -2)), minus_two);
    }

    #[test]
    fn a_nested_message_may_be_of_any_length() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let inner = vec![b'x'; length];
            let bytes = written(|m| m.nested(7, |m| m.0.extend_from_slice(&inner)));
            assert_eq!(bytes, written(|m| m.bytes(7, &inner)), "{length}");
            assert_eq!(fields(&bytes).collect::<Vec<_>>(), [(7, Field::Bytes(&inner))]);
        }
    }

    #[test]
    fn an_attribute_is_a_message_of_messages() {
        let (short, long) = ("v".repeat(3), "v".repeat(300));
        for key in ["k", &"k".repeat(127), &"k".repeat(200)] {
            let values = [(1, Value::Text("")), (1, Value::Text(&short)), (1, Value::Text(&long))];
            let numbers = [0, 127, 128, 16_384, i64::MAX, -1].map(|number| (3, Value::Int(number)));
            for (number, value) in values.into_iter().chain(numbers) {
                let nested = written(|message| {
                    message.nested(9, |pair| {
                        pair.text(1, key);
                        pair.nested(2, |any| match value {
                            Value::Text(text) => any.text(number, text),
                            Value::Int(value) => any.int(number, value),
                        });
                    });
                });
                assert_eq!(
                    written(|message| message.attribute(9, key, value)),
                    nested,
                    "{value:?}"
                );
            }
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = written(|m| {
            m.uint(1, u64::MAX);
            m.fixed64(2, 7);
            m.text(3, "a");
            m.fixed32(4, 9);
        });
        let read: Vec<_> = fields(&bytes).collect();
        let wanted = [
            (1, Field::Varint(u64::MAX)),
            (2, Field::Fixed64(7)),
            (3, Field::Bytes(b"a")),
            (4, Field::Fixed32(9)),
        ];
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_malformed_message_ends_where_it_breaks() {
        for broken in [&b"\x0a\x05abc"[..], b"\x09\x01", b"\x0b", b"\x08", b"\xff\xff\xff\xff\xff"]
        {
            assert_eq!(fields(broken).count(), 0, "{broken:x?}");
        }
        assert_eq!(fields(b"\x08\x01\x0a\x05abc").count(), 1);
        let endless = [0xff; 32];
        assert_eq!(fields(&endless).count(), 0);
    }
}
