//! Writes small GeoIP files in MaxMind's DB format (version 2.0), so that tests need none of anybody's: an IPv6 tree with
//! 32-bit records, IPv4 below ::/96, and a data section of maps, strings and numbers.

use std::net::{IpAddr, Ipv6Addr};

/// A value of the data section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// An unsigned number of 16 bits.
    U16(u16),
    /// Of 32 bits.
    U32(u32),
    /// Of 64 bits.
    U64(u64),
    /// Keys and values.
    Map(Vec<(&'static str, Value)>),
    /// Values in order.
    List(Vec<Value>),
}

/// A country as MaxMind and DB-IP write it.
#[must_use]
pub fn nested(code: &str) -> Value {
    Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code.into()))]))])
}

/// A country as ip-location-db and others write it.
#[must_use]
pub fn flat(code: &str) -> Value {
    Value::Map(vec![("country_code", Value::Text(code.into()))])
}

/// An autonomous system as MaxMind writes it.
#[must_use]
pub fn system(number: u32) -> Value {
    Value::Map(vec![("autonomous_system_number", Value::U32(number))])
}

/// The bytes of a file that says this of these networks (`192.0.2.0/24`, `2001:db8::/32`), made at `built` (seconds since
/// 1970).
///
/// # Panics
/// A network cannot be read.
#[must_use]
pub fn file(built: u64, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree: Vec<[Slot; 2]> = vec![[Slot::Empty; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let offset = u32::try_from(data.len()).unwrap();
        encode(&mut data, value);
        insert(&mut tree, network, offset);
    }
    let count = u32::try_from(tree.len()).unwrap();
    let mut bytes = Vec::new();
    for slot in tree.iter().flatten() {
        let record = match slot {
            Slot::Empty => count,
            Slot::Node(node) => *node,
            Slot::Data(offset) => count + 16 + offset,
        };
        bytes.extend(record.to_be_bytes());
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(built)),
        ("database_type", Value::Text("Twinlock-Test".into())),
        ("description", Value::Map(vec![("en", Value::Text("made by a test".into()))])),
        ("ip_version", Value::U16(6)),
        ("languages", Value::List(vec![])),
        ("node_count", Value::U32(count)),
        ("record_size", Value::U16(32)),
    ]);
    encode(&mut bytes, &metadata);
    bytes
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Empty,
    Node(u32),
    Data(u32),
}

fn insert(tree: &mut Vec<[Slot; 2]>, network: &str, offset: u32) {
    let (address, length) = network.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let (bits, length) = match address.parse().unwrap() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 96 + length),
        IpAddr::V6(v6) => (Ipv6Addr::to_bits(v6), length),
    };
    let mut node = 0;
    for depth in 0..length {
        let bit = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            tree[node][bit] = Slot::Data(offset);
        } else if let Slot::Node(next) = tree[node][bit] {
            node = next as usize;
        } else {
            let next = tree.len();
            tree[node][bit] = Slot::Node(u32::try_from(next).unwrap());
            tree.push([Slot::Empty; 2]);
            node = next;
        }
    }
}

fn encode(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            control(bytes, 2, text.len());
            bytes.extend(text.as_bytes());
        }
        Value::U16(number) => unsigned(bytes, 5, (*number).into()),
        Value::U32(number) => unsigned(bytes, 6, (*number).into()),
        Value::U64(number) => unsigned(bytes, 9, *number),
        Value::Map(pairs) => {
            control(bytes, 7, pairs.len());
            for (key, value) in pairs {
                encode(bytes, &Value::Text((*key).into()));
                encode(bytes, value);
            }
        }
        Value::List(values) => {
            control(bytes, 11, values.len());
            values.iter().for_each(|value| encode(bytes, value));
        }
    }
}

/// Without its leading zero bytes.
fn unsigned(bytes: &mut Vec<u8>, kind: u8, number: u64) {
    let significant: Vec<_> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    control(bytes, kind, significant.len());
    bytes.extend(significant);
}

/// The control byte, with the type behind it where it has no room for it. Nothing here is as long as 29 bytes.
fn control(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    assert!(size < 29);
    let size = u8::try_from(size).unwrap();
    if kind < 8 {
        bytes.push(kind << 5 | size);
    } else {
        bytes.extend([size, kind - 7]);
    }
}
