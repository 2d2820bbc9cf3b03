//! The one escaping function for syslog: whatever a caller said becomes printable ASCII inside double quotes, so that
//! no name can forge, split or lengthen a record.

use std::fmt::Write;

/// Appends `key="value"` and a blank before it. Bytes other than printable ASCII, the quote and the backslash become
/// `\xHH`; what would exceed `limit` escaped bytes is cut and marked by `...` inside the quotes.
pub(super) fn put(line: &mut String, key: &str, value: &[u8], limit: usize) {
    line.push(' ');
    line.push_str(key);
    line.push_str("=\"");
    let fits = value.iter().map(|byte| width(*byte)).sum::<usize>() <= limit;
    let room = if fits { limit } else { limit.saturating_sub(CUT.len()) };
    let mut used = 0;
    for byte in value {
        used += width(*byte);
        if used > room {
            line.push_str(CUT);
            break;
        }
        if is_plain(*byte) {
            line.push(char::from(*byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
    line.push('"');
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn width(byte: u8) -> usize {
    if is_plain(byte) { 1 } else { 4 }
}

const CUT: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &[u8], limit: usize) -> String {
        let mut line = String::new();
        put(&mut line, "k", value, limit);
        line
    }

    #[test]
    fn a_name_cannot_forge_or_split_a_record() {
        assert_eq!(escaped(b"alice", 64), r#" k="alice""#);
        assert_eq!(escaped(b"x\" verdict=\"grant", 64), r#" k="x\x22 verdict=\x22grant""#);
        assert_eq!(escaped(b"a\nb\x1b[2J\\", 64), r#" k="a\x0ab\x1b[2J\x5c""#);
        assert_eq!(escaped("\u{2028}".as_bytes(), 64), r#" k="\xe2\x80\xa8""#);
        assert_eq!(escaped(b"\xff", 64), r#" k="\xff""#);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(escaped(&[b'a'; 10], 10), r#" k="aaaaaaaaaa""#);
        assert_eq!(escaped(&[b'a'; 11], 10), r#" k="aaaaaaa...""#);
        assert_eq!(escaped(b"\n\n\n\n", 13), r#" k="\x0a\x0a...""#);
    }
}
