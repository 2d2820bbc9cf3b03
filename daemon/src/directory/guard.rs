//! What a directory server sends, looked at before `ldap3` sees it.
//!
//! `ldap3` and `lber` recurse into nested elements, buffer whatever length a header claims and panic on messages that
//! lack a part. So only whole, well-formed LDAPMessages (RFC 4511) of bounded size and nesting pass, and only in the
//! shapes those crates expect. Nothing here recurses, waits or knows a socket. This file decides nothing about what
//! an answer means.

use std::fmt;
use zeroize::Zeroizing;

/// Longest message in bytes, its header included.
pub(crate) const LONGEST_MESSAGE: usize = 256 * 1024;

/// Deepest nesting, the message itself being the first level.
pub(crate) const DEEPEST: usize = 32;

/// Why bytes from a server are not passed on. The connection they came over is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A message longer than [`LONGEST_MESSAGE`].
    TooLong,
    /// Elements nested deeper than [`DEEPEST`].
    TooDeep,
    /// Not BER as LDAP allows it: a bad header, an indefinite length, an element that sticks out of its parent.
    NotBer,
    /// Well-formed elements that are no response of RFC 4511.
    NotAResponse,
    /// A message nobody asked for: another id, another kind, a notice of disconnection.
    Unasked,
    /// More answers to one request than the daemon takes.
    TooMuch,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it sent a message of more than 256 KiB",
            Self::TooDeep => "it sent elements nested more than 32 deep",
            Self::NotBer => "it sent bytes that are not LDAP",
            Self::NotAResponse => "it sent a message that is no LDAP response",
            Self::Unasked => "it sent a message nobody asked for, or closed the session by a notice",
            Self::TooMuch => "it sent more than 1 MiB in answer to one request",
        })
    }
}

/// Tag bytes (class, form and number) that stand in LDAP messages.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTETS: u8 = 0x04;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    pub(crate) const BIND_REQUEST: u8 = 0x60;
    pub(crate) const BIND_RESPONSE: u8 = 0x61;
    pub(crate) const SEARCH_REQUEST: u8 = 0x63;
    pub(crate) const SEARCH_ENTRY: u8 = 0x64;
    pub(crate) const SEARCH_DONE: u8 = 0x65;
    pub(crate) const MODIFY_REQUEST: u8 = 0x66;
    pub(crate) const MODIFY_RESPONSE: u8 = 0x67;
    pub(crate) const ADD_RESPONSE: u8 = 0x69;
    pub(crate) const DELETE_RESPONSE: u8 = 0x6b;
    pub(crate) const RENAME_RESPONSE: u8 = 0x6d;
    pub(crate) const COMPARE_RESPONSE: u8 = 0x6f;
    pub(crate) const SEARCH_REFERENCE: u8 = 0x73;
    pub(crate) const EXTENDED_REQUEST: u8 = 0x77;
    pub(crate) const EXTENDED_RESPONSE: u8 = 0x78;
    pub(crate) const INTERMEDIATE: u8 = 0x79;

    pub(crate) const CONTROLS: u8 = 0xa0;
    pub(crate) const INTERMEDIATE_NAME: u8 = 0x80;
    pub(crate) const INTERMEDIATE_VALUE: u8 = 0x81;
    pub(crate) const REFERRAL: u8 = 0xa3;
    pub(crate) const SASL_CREDENTIALS: u8 = 0x87;
    pub(crate) const RESPONSE_NAME: u8 = 0x8a;
    pub(crate) const RESPONSE_VALUE: u8 = 0x8b;
}

const CONSTRUCTED: u8 = 0x20;
const NUMBER: u8 = 0x1f;

/// Collects bytes and gives them back as whole messages. The buffer is wiped on drop: binds pass through one.
pub(crate) struct Frames(Zeroizing<Vec<u8>>);

impl Frames {
    /// An empty one, with room for any request the daemon makes.
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(8 * 1024)))
    }

    /// Takes in what was read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next whole message; `None` until it is there. A header that promises too much is refused at once, so that
    /// no more than one message and one read are ever held.
    pub(crate) fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Refused> {
        if self.0.first().is_some_and(|first| *first != tag::SEQUENCE) {
            return Err(Refused::NotBer);
        }
        let Some(header) = Header::read(&self.0)? else { return Ok(None) };
        let whole = header.length.saturating_add(header.size);
        if whole > LONGEST_MESSAGE {
            return Err(Refused::TooLong);
        }
        if self.0.len() < whole {
            return Ok(None);
        }
        Ok(Some(Zeroizing::new(self.0.drain(..whole).collect())))
    }
}

/// What a message says of itself: which request it belongs to and what kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The message id; 0 is a notice that nobody asked for.
    pub(crate) id: u32,
    /// The operation's tag byte.
    pub(crate) operation: u8,
    /// The result code, where there is one.
    pub(crate) result: Option<u32>,
}

/// Looks at one whole message from a server.
///
/// # Errors
/// [`Refused`] for everything that `lber` or `ldap3` could stumble over.
pub(crate) fn response(message: &[u8]) -> Result<Envelope, Refused> {
    well_formed(message)?;
    let (mut envelope, operation, mut rest) = opened(message)?;
    let parts = Elements(operation);
    match envelope.operation {
        tag::SEARCH_ENTRY => entry(parts)?,
        tag::SEARCH_REFERENCE => texts(parts)?,
        tag::INTERMEDIATE => intermediate(parts)?,
        tag::BIND_RESPONSE
        | tag::SEARCH_DONE
        | tag::MODIFY_RESPONSE
        | tag::ADD_RESPONSE
        | tag::DELETE_RESPONSE
        | tag::RENAME_RESPONSE
        | tag::COMPARE_RESPONSE
        | tag::EXTENDED_RESPONSE => envelope.result = Some(result(parts)?),
        _ => return Err(Refused::NotAResponse),
    }
    if let Some(list) = rest.next()? {
        if list.tag != tag::CONTROLS {
            return Err(Refused::NotAResponse);
        }
        controls(Elements(list.content))?;
    }
    rest.end()?;
    Ok(envelope)
}

/// The envelope of one whole request of our own.
pub(crate) fn request(message: &[u8]) -> Result<Envelope, Refused> {
    opened(message).map(|(envelope, _, _)| envelope)
}

/// Message id, operation and its content, and the elements behind it.
fn opened(message: &[u8]) -> Result<(Envelope, &[u8], Elements<'_>), Refused> {
    let mut whole = Elements(message);
    let mut parts = Elements(whole.take(tag::SEQUENCE)?);
    whole.end()?;
    let id = unsigned(parts.take(tag::INTEGER)?)?;
    let operation = parts.next()?.ok_or(Refused::NotAResponse)?;
    Ok((Envelope { id, operation: operation.tag, result: None }, operation.content, parts))
}

/// LDAPResult and what may stand behind it; gives back the result code.
fn result(mut parts: Elements<'_>) -> Result<u32, Refused> {
    let code = unsigned(parts.take(tag::ENUMERATED)?)?;
    text(parts.take(tag::OCTETS)?)?;
    text(parts.take(tag::OCTETS)?)?;
    while let Some(part) = parts.next()? {
        match part.tag {
            tag::REFERRAL => texts(Elements(part.content))?,
            tag::RESPONSE_NAME => text(part.content)?,
            tag::SASL_CREDENTIALS | tag::RESPONSE_VALUE => (),
            _ => return Err(Refused::NotAResponse),
        }
    }
    Ok(code)
}

fn entry(mut parts: Elements<'_>) -> Result<(), Refused> {
    text(parts.take(tag::OCTETS)?)?;
    let mut attributes = Elements(parts.take(tag::SEQUENCE)?);
    parts.end()?;
    while let Some(attribute) = attributes.next()? {
        let mut attribute = Elements(attribute.expect(tag::SEQUENCE)?);
        text(attribute.take(tag::OCTETS)?)?;
        let mut values = Elements(attribute.take(tag::SET)?);
        attribute.end()?;
        while let Some(value) = values.next()? {
            value.expect(tag::OCTETS)?;
        }
    }
    Ok(())
}

/// One or more URIs.
fn texts(mut parts: Elements<'_>) -> Result<(), Refused> {
    text(parts.take(tag::OCTETS)?)?;
    while let Some(part) = parts.next()? {
        text(part.expect(tag::OCTETS)?)?;
    }
    Ok(())
}

fn intermediate(mut parts: Elements<'_>) -> Result<(), Refused> {
    while let Some(part) = parts.next()? {
        match part.tag {
            tag::INTERMEDIATE_NAME => text(part.content)?,
            tag::INTERMEDIATE_VALUE => (),
            _ => return Err(Refused::NotAResponse),
        }
    }
    Ok(())
}

fn controls(mut list: Elements<'_>) -> Result<(), Refused> {
    while let Some(control) = list.next()? {
        let mut parts = Elements(control.expect(tag::SEQUENCE)?);
        text(parts.take(tag::OCTETS)?)?;
        let mut part = parts.next()?;
        if let Some(critical) = part.filter(|part| part.tag == tag::BOOLEAN) {
            if critical.content.len() != 1 {
                return Err(Refused::NotAResponse);
            }
            part = parts.next()?;
        }
        if let Some(value) = part {
            value.expect(tag::OCTETS)?;
        }
        parts.end()?;
    }
    Ok(())
}

/// Where a server wants a listing to go on (RFC 2696): empty at its end. `ldap3` would panic on what is none.
///
/// # Errors
/// [`Refused::NotAResponse`] or [`Refused::NotBer`].
pub(crate) fn page_cookie(value: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut parts = Elements(Elements(value).take(tag::SEQUENCE)?);
    parts.take(tag::INTEGER)?;
    Ok(parts.take(tag::OCTETS)?.to_vec())
}

fn text(bytes: &[u8]) -> Result<(), Refused> {
    std::str::from_utf8(bytes).map(|_| ()).map_err(|_| Refused::NotAResponse)
}

/// A number from 0 to 2³¹−1 in one to four bytes.
fn unsigned(bytes: &[u8]) -> Result<u32, Refused> {
    let negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
    if negative || bytes.len() > 4 {
        return Err(Refused::NotAResponse);
    }
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Every element inside its parent, down to [`DEEPEST`] levels.
fn well_formed(message: &[u8]) -> Result<(), Refused> {
    let mut levels = vec![Elements(message)];
    while let Some(level) = levels.last_mut() {
        let Some(element) = level.next()? else {
            levels.pop();
            continue;
        };
        if element.tag & CONSTRUCTED != 0 {
            if levels.len() > DEEPEST {
                return Err(Refused::TooDeep);
            }
            levels.push(Elements(element.content));
        }
    }
    Ok(())
}

/// An element's first bytes.
struct Header {
    tag: u8,
    /// Of the content, in bytes.
    length: usize,
    /// Of the header itself, in bytes.
    size: usize,
}

impl Header {
    /// `None` if it is not all there yet. Lengths may be longer than needed (some directories write four bytes
    /// always); tags of more than one byte and indefinite lengths have no place in LDAP.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Refused> {
        let Some((&tag, rest)) = bytes.split_first() else { return Ok(None) };
        if tag & NUMBER == NUMBER {
            return Err(Refused::NotBer);
        }
        let Some((&first, rest)) = rest.split_first() else { return Ok(None) };
        let digits = match first {
            0..=0x7f => return Ok(Some(Self { tag, length: usize::from(first), size: 2 })),
            0x81..=0x84 => usize::from(first & 0x7f),
            _ => return Err(Refused::NotBer),
        };
        let Some(digits) = rest.get(..digits) else { return Ok(None) };
        let length = digits.iter().fold(0u32, |length, byte| length << 8 | u32::from(*byte));
        let length = usize::try_from(length).map_err(|_| Refused::TooLong)?;
        Ok(Some(Self { tag, length, size: 2 + digits.len() }))
    }
}

/// The parts of a value that is one element of this tag; `None` if it is something else.
pub(crate) fn parts(value: &[u8], tag: u8) -> Option<Vec<(u8, &[u8])>> {
    let mut whole = Elements(value);
    let mut inside = Elements(whole.take(tag).ok()?);
    whole.end().ok()?;
    let mut parts = Vec::new();
    while let Some(part) = inside.next().ok()? {
        parts.push((part.tag, part.content));
    }
    Some(parts)
}

/// The first element of a content.
pub(crate) fn first(content: &[u8]) -> Option<(u8, &[u8])> {
    Elements(content).next().ok()?.map(|part| (part.tag, part.content))
}

/// A number from 0 to 2³¹−1.
pub(crate) fn number(content: &[u8]) -> Option<u32> {
    unsigned(content).ok()
}

/// One element.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
}

impl<'a> Element<'a> {
    fn expect(self, tag: u8) -> Result<&'a [u8], Refused> {
        if self.tag == tag { Ok(self.content) } else { Err(Refused::NotAResponse) }
    }
}

/// Elements one behind the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Option<Element<'a>>, Refused> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let header = Header::read(self.0)?.ok_or(Refused::NotBer)?;
        let (_, behind) = self.0.split_at_checked(header.size).ok_or(Refused::NotBer)?;
        let (content, behind) = behind.split_at_checked(header.length).ok_or(Refused::NotBer)?;
        self.0 = behind;
        Ok(Some(Element { tag: header.tag, content }))
    }

    fn take(&mut self, tag: u8) -> Result<&'a [u8], Refused> {
        self.next()?.ok_or(Refused::NotAResponse)?.expect(tag)
    }

    fn end(&self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::NotAResponse) }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
