//! Lower-case hexadecimal digits, without an allocation.

/// Writes two digits for each byte. What has no room is left out.
pub fn write(bytes: &[u8], digits: &mut [u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for ([high, low], byte) in pairs.iter_mut().zip(bytes) {
        (*high, *low) = (digit(byte >> 4), digit(byte & 15));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_as_rust_writes_it() {
        for byte in 0..=u8::MAX {
            let mut digits = [0; 2];
            write(&[byte], &mut digits);
            assert_eq!(digits, format!("{byte:02x}").as_bytes());
        }
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let mut digits = *b"-----";
        write(&[0x12, 0xab, 0xff], &mut digits);
        assert_eq!(&digits, b"12ab-");
        let mut digits = *b"------";
        write(&[0x12], &mut digits);
        assert_eq!(&digits, b"12----");
    }
}
