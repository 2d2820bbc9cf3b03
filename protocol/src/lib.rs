//! The messages that `pam_twinlock.so` and `twinlockd` exchange over the login socket.
//!
//! One connection carries one attempt. The module opens with [`Message::Begin`]; the daemon then asks and
//! tells as often as it likes ([`Message::Ask`], [`Message::Tell`]), gets one [`Message::Answer`] for each
//! question, and ends with one [`Message::Verdict`]. The prose form is docs/contracts.md, section "Wire".
//!
//! This crate is linked into sshd. It does no I/O, reads no clock, holds no `unsafe`, allocates only what the
//! frame limit allows, and its decoder returns an error for every input that is not a message.

#![forbid(unsafe_code)]

mod field;
mod frame;
mod message;
mod secret;

pub use frame::{Assembler, FrameError, MAX_FRAME, OLDEST_VERSION, VERSION};
pub use message::{
    Answer, AuthTok, Begin, DecodeError, MAX_ANSWER, MAX_ITEM, MAX_TEXT, Message, Phase, Standing,
    TICKET_BYTES, Tell, Verdict,
};
pub use secret::Secret;
