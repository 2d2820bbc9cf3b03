//! What the two sides say to each other, and its bytes.

use crate::field::{CRITICAL, Reader, Writer, once};
use crate::frame::{HEAD_BYTES, LENGTH_BYTES, MAX_FRAME, OLDEST_VERSION, VERSION};
use crate::secret::Secret;
use core::fmt;
use zeroize::Zeroizing;

/// Longest answer in bytes: `PAM_MAX_RESP_SIZE` (512) with its NUL taken off.
pub const MAX_ANSWER: usize = 511;
/// Longest PAM item in bytes. A longer user name is cut by the sender, which makes it a name nobody has.
pub const MAX_ITEM: usize = 1024;
/// Longest prompt or message in bytes; a QR code in text fits.
pub const MAX_TEXT: usize = 8 * 1024;
/// Bytes of a grant's ticket (128 random bits).
pub const TICKET_BYTES: usize = 16;

/// Which question PAM puts to the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `pam_sm_authenticate`: prove who you are.
    Authenticate,
    /// `pam_sm_acct_mgmt`: may this account log in here and now.
    Account,
    /// `pam_sm_chauthtok`: a new password.
    Change,
}

/// The opening of an attempt: what the application told PAM. Only a trusted caller's word counts for any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Which question PAM asks.
    pub phase: Phase,
    /// `PAM_SERVICE`.
    pub service: Vec<u8>,
    /// `PAM_USER`, unchanged: bytes, not always UTF-8.
    pub user: Vec<u8>,
    /// `PAM_RHOST`.
    pub rhost: Option<Vec<u8>>,
    /// `PAM_RUSER`: who invoked su or sudo.
    pub ruser: Option<Vec<u8>>,
    /// `PAM_TTY`.
    pub tty: Option<Vec<u8>>,
    /// `SSH_CONNECTION` from the PAM environment.
    pub ssh_connection: Option<Vec<u8>>,
    /// `SSH_AUTH_INFO_0` from the PAM environment: the methods sshd has already accepted.
    pub ssh_auth_info: Option<Vec<u8>>,
    /// `PAM_SILENT` is set: nothing but questions may be shown.
    pub silent: bool,
    /// The ticket of the grant that this PAM handle got in its auth phase.
    pub ticket: Option<Secret>,
}

/// How a [`Message::Tell`] is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// `PAM_TEXT_INFO`.
    Info,
    /// `PAM_ERROR_MSG`.
    Error,
}

/// What came back for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The bytes as typed, at most [`MAX_ANSWER`] of them; empty is an answer too.
    Typed(Secret),
    /// More than [`MAX_ANSWER`] bytes were typed. They are not sent.
    TooLong,
    /// The application could not or would not ask.
    Refused,
}

/// Which part of what was typed is the password, for `PAM_AUTHTOK`: the first `length` bytes of answer number
/// `answer` (counted from 0). The password itself never travels back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthTok {
    /// Number of the answer that begins with the password.
    pub answer: u8,
    /// Length of the password in bytes.
    pub length: u16,
}

/// Why somebody who has proved everything is not let in: how the directory says that the account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The account is disabled or its last day is over.
    AccountExpired,
    /// The password is too old to be changed by its owner.
    PasswordExpired,
    /// Not here or not now.
    NotNow,
    /// The password must be changed first.
    NewPassword,
}

/// All a caller ever learns. Why is in the audit record only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Grant {
        /// To be shown once in the account phase; absent where the grant is the account phase's own.
        ticket: Option<Secret>,
        /// Where the password lies in what was typed; absent where no password was proved.
        authtok: Option<AuthTok>,
    },
    /// Not let in.
    Deny,
    /// Not let in, although everything was proved. An older module takes it for [`Verdict::Deny`].
    Withheld {
        /// How the account stands.
        standing: Standing,
        /// To be shown once when the password is changed; only with [`Standing::NewPassword`].
        ticket: Option<Secret>,
    },
    /// Nothing could be decided: the directory or the store did not answer.
    Unavailable,
}

/// One frame's worth of dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Module to daemon, first.
    Begin(Begin),
    /// Daemon to module: put this question, then send one answer.
    Ask {
        /// The prompt, at most [`MAX_TEXT`] bytes, no NUL.
        prompt: String,
        /// Whether what is typed may be shown.
        echo: bool,
    },
    /// Daemon to module: show this. No answer is expected.
    Tell {
        /// How to show it.
        style: Tell,
        /// The text, at most [`MAX_TEXT`] bytes, no NUL.
        text: String,
    },
    /// Module to daemon: the answer to the last question.
    Answer(Answer),
    /// Daemon to module, last.
    Verdict(Verdict),
}

/// Why a frame's body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The body ends inside a field or before one begins.
    Truncated,
    /// The version is none that this side speaks.
    Version(u16),
    /// No such kind of message.
    Kind(u8),
    /// A field that must be understood is not.
    UnknownCritical(u8),
    /// A field stands twice.
    Repeated,
    /// A field that must be there is not.
    Missing(u8),
    /// A field has a value or a length it cannot have.
    Invalid(u8),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the message ends in the middle of a field"),
            Self::Version(version) => write!(f, "wire version {version} is not spoken here"),
            Self::Kind(kind) => write!(f, "unknown kind of message {kind}"),
            Self::UnknownCritical(tag) => write!(f, "unknown critical field {tag:#04x}"),
            Self::Repeated => f.write_str("a field stands twice"),
            Self::Missing(tag) => write!(f, "field {tag:#04x} is missing"),
            Self::Invalid(tag) => write!(f, "field {tag:#04x} has an impossible value"),
        }
    }
}

impl core::error::Error for DecodeError {}

mod kind {
    pub(super) const BEGIN: u8 = 1;
    pub(super) const ASK: u8 = 2;
    pub(super) const TELL: u8 = 3;
    pub(super) const ANSWER: u8 = 4;
    pub(super) const VERDICT: u8 = 5;
}

mod tag {
    use super::CRITICAL;
    pub(super) const PHASE: u8 = CRITICAL | 1;
    pub(super) const SERVICE: u8 = CRITICAL | 2;
    pub(super) const USER: u8 = CRITICAL | 3;
    pub(super) const RHOST: u8 = CRITICAL | 4;
    pub(super) const RUSER: u8 = 5;
    pub(super) const TTY: u8 = 6;
    pub(super) const SSH_CONNECTION: u8 = CRITICAL | 7;
    pub(super) const SSH_AUTH_INFO: u8 = CRITICAL | 8;
    pub(super) const SILENT: u8 = 9;
    pub(super) const TICKET: u8 = CRITICAL | 10;
    pub(super) const TEXT: u8 = CRITICAL | 11;
    pub(super) const ECHO: u8 = CRITICAL | 12;
    pub(super) const STYLE: u8 = 13;
    pub(super) const OUTCOME: u8 = CRITICAL | 14;
    pub(super) const TYPED: u8 = CRITICAL | 15;
    pub(super) const AUTHTOK: u8 = CRITICAL | 16;
    pub(super) const STANDING: u8 = 17;
    pub(super) const CHANGE: u8 = 18;
}

const YES: &[u8] = &[1];
const NO: &[u8] = &[0];

impl Message {
    /// The whole frame, length included, in a buffer that is wiped on drop. Values beyond their limits are cut,
    /// which turns an over-long name into one that nobody has.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let authtok;
        let mut fields = Writer::new();
        let kind = match self {
            Self::Begin(begin) => {
                fields.put(
                    tag::PHASE,
                    match begin.phase {
                        Phase::Authenticate => &[1],
                        Phase::Account => &[2],
                        Phase::Change => &[3],
                    },
                );
                fields.put(tag::SERVICE, cut(&begin.service, MAX_ITEM));
                fields.put(tag::USER, cut(&begin.user, MAX_ITEM));
                for (tag, item) in [
                    (tag::RHOST, &begin.rhost),
                    (tag::RUSER, &begin.ruser),
                    (tag::TTY, &begin.tty),
                    (tag::SSH_CONNECTION, &begin.ssh_connection),
                    (tag::SSH_AUTH_INFO, &begin.ssh_auth_info),
                ] {
                    fields.put_present(tag, item.as_deref().map(|item| cut(item, MAX_ITEM)));
                }
                fields.put(tag::SILENT, flag(begin.silent));
                fields.put_present(tag::TICKET, begin.ticket.as_ref().map(Secret::expose));
                kind::BEGIN
            }
            Self::Ask { prompt, echo } => {
                fields.put(tag::TEXT, cut_text(prompt));
                fields.put(tag::ECHO, flag(*echo));
                kind::ASK
            }
            Self::Tell { style, text } => {
                fields.put(tag::TEXT, cut_text(text));
                fields.put(
                    tag::STYLE,
                    match style {
                        Tell::Info => &[1],
                        Tell::Error => &[2],
                    },
                );
                kind::TELL
            }
            Self::Answer(answer) => {
                match answer {
                    Answer::Typed(secret) if secret.len() <= MAX_ANSWER => {
                        fields.put(tag::OUTCOME, &[1]);
                        fields.put(tag::TYPED, secret.expose());
                    }
                    Answer::Typed(_) | Answer::TooLong => fields.put(tag::OUTCOME, &[2]),
                    Answer::Refused => fields.put(tag::OUTCOME, &[3]),
                }
                kind::ANSWER
            }
            Self::Verdict(verdict) => {
                match verdict {
                    Verdict::Grant { ticket, authtok: place } => {
                        fields.put(tag::OUTCOME, &[1]);
                        fields.put_present(tag::TICKET, ticket.as_ref().map(Secret::expose));
                        if let Some(place) = place {
                            let [high, low] = place.length.to_be_bytes();
                            authtok = [place.answer, high, low];
                            fields.put(tag::AUTHTOK, &authtok);
                        }
                    }
                    Verdict::Deny => fields.put(tag::OUTCOME, &[2]),
                    Verdict::Withheld { standing, ticket } => {
                        fields.put(tag::OUTCOME, &[2]);
                        fields.put(
                            tag::STANDING,
                            match standing {
                                Standing::AccountExpired => &[1],
                                Standing::PasswordExpired => &[2],
                                Standing::NotNow => &[3],
                                Standing::NewPassword => &[4],
                            },
                        );
                        fields.put_present(tag::CHANGE, ticket.as_ref().map(Secret::expose));
                    }
                    Verdict::Unavailable => fields.put(tag::OUTCOME, &[3]),
                }
                kind::VERDICT
            }
        };
        let [high, low] = VERSION.to_be_bytes();
        let mut frame = fields.finish(&[0, 0, 0, 0, high, low, kind]);
        let length = u32::try_from(frame.len().saturating_sub(LENGTH_BYTES)).unwrap_or(u32::MAX);
        for (slot, byte) in frame.iter_mut().zip(length.to_be_bytes()) {
            *slot = byte;
        }
        frame
    }

    /// Reads a frame's body as the assembler returned it.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that is not exactly one message of a version spoken here.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (head, fields) = body.split_first_chunk::<HEAD_BYTES>().ok_or(DecodeError::Truncated)?;
        let [high, low, kind] = *head;
        let version = u16::from_be_bytes([high, low]);
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        if body.len() > MAX_FRAME {
            return Err(DecodeError::Truncated);
        }
        let fields = Reader::new(fields);
        match kind {
            kind::BEGIN => decode_begin(fields),
            kind::ASK => decode_ask(fields),
            kind::TELL => decode_tell(fields),
            kind::ANSWER => decode_answer(fields),
            kind::VERDICT => decode_verdict(fields),
            other => Err(DecodeError::Kind(other)),
        }
    }
}

fn decode_begin(fields: Reader<'_>) -> Result<Message, DecodeError> {
    let [mut phase, mut service, mut user, mut rhost, mut ruser, mut tty] = [None; 6];
    let [mut ssh_connection, mut ssh_auth_info, mut silent, mut ticket] = [None; 4];
    collect(
        fields,
        &mut [
            (tag::PHASE, &mut phase),
            (tag::SERVICE, &mut service),
            (tag::USER, &mut user),
            (tag::RHOST, &mut rhost),
            (tag::RUSER, &mut ruser),
            (tag::TTY, &mut tty),
            (tag::SSH_CONNECTION, &mut ssh_connection),
            (tag::SSH_AUTH_INFO, &mut ssh_auth_info),
            (tag::SILENT, &mut silent),
            (tag::TICKET, &mut ticket),
        ],
    )?;
    Ok(Message::Begin(Begin {
        phase: match required(tag::PHASE, phase)? {
            [1] => Phase::Authenticate,
            [2] => Phase::Account,
            [3] => Phase::Change,
            _ => return Err(DecodeError::Invalid(tag::PHASE)),
        },
        service: item(tag::SERVICE, required(tag::SERVICE, service)?)?,
        user: item(tag::USER, required(tag::USER, user)?)?,
        rhost: rhost.map(|value| item(tag::RHOST, value)).transpose()?,
        ruser: ruser.map(|value| item(tag::RUSER, value)).transpose()?,
        tty: tty.map(|value| item(tag::TTY, value)).transpose()?,
        ssh_connection: ssh_connection.map(|value| item(tag::SSH_CONNECTION, value)).transpose()?,
        ssh_auth_info: ssh_auth_info.map(|value| item(tag::SSH_AUTH_INFO, value)).transpose()?,
        silent: silent.map_or(Ok(false), |value| boolean(tag::SILENT, value))?,
        ticket: ticket.map(ticket_of).transpose()?,
    }))
}

fn decode_ask(fields: Reader<'_>) -> Result<Message, DecodeError> {
    let [mut prompt, mut echo] = [None; 2];
    collect(fields, &mut [(tag::TEXT, &mut prompt), (tag::ECHO, &mut echo)])?;
    Ok(Message::Ask {
        prompt: text(required(tag::TEXT, prompt)?)?,
        echo: boolean(tag::ECHO, required(tag::ECHO, echo)?)?,
    })
}

fn decode_tell(fields: Reader<'_>) -> Result<Message, DecodeError> {
    let [mut shown, mut style] = [None; 2];
    collect(fields, &mut [(tag::TEXT, &mut shown), (tag::STYLE, &mut style)])?;
    Ok(Message::Tell {
        text: text(required(tag::TEXT, shown)?)?,
        style: match required(tag::STYLE, style)? {
            [1] => Tell::Info,
            [2] => Tell::Error,
            _ => return Err(DecodeError::Invalid(tag::STYLE)),
        },
    })
}

fn decode_answer(fields: Reader<'_>) -> Result<Message, DecodeError> {
    let [mut outcome, mut typed] = [None; 2];
    collect(fields, &mut [(tag::OUTCOME, &mut outcome), (tag::TYPED, &mut typed)])?;
    Ok(Message::Answer(match (required(tag::OUTCOME, outcome)?, typed) {
        ([1], Some(bytes)) if bytes.len() <= MAX_ANSWER => Answer::Typed(Secret::copy_of(bytes)),
        ([1], Some(_)) => return Err(DecodeError::Invalid(tag::TYPED)),
        ([1], None) => return Err(DecodeError::Missing(tag::TYPED)),
        ([2], None) => Answer::TooLong,
        ([3], None) => Answer::Refused,
        _ => return Err(DecodeError::Invalid(tag::OUTCOME)),
    }))
}

fn decode_verdict(fields: Reader<'_>) -> Result<Message, DecodeError> {
    let [mut outcome, mut ticket, mut authtok, mut standing, mut change] = [None; 5];
    collect(
        fields,
        &mut [
            (tag::OUTCOME, &mut outcome),
            (tag::TICKET, &mut ticket),
            (tag::AUTHTOK, &mut authtok),
            (tag::STANDING, &mut standing),
            (tag::CHANGE, &mut change),
        ],
    )?;
    let outcome = required(tag::OUTCOME, outcome)?;
    Ok(Message::Verdict(match (outcome, ticket, authtok, standing, change) {
        ([1], ticket, authtok, None, None) => Verdict::Grant {
            ticket: ticket.map(ticket_of).transpose()?,
            authtok: authtok.map(authtok_of).transpose()?,
        },
        ([2], None, None, None, None) => Verdict::Deny,
        ([2], None, None, Some(standing), change) => withheld(standing, change)?,
        ([3], None, None, None, None) => Verdict::Unavailable,
        _ => return Err(DecodeError::Invalid(tag::OUTCOME)),
    }))
}

fn withheld(standing: &[u8], ticket: Option<&[u8]>) -> Result<Verdict, DecodeError> {
    let standing = match (standing, ticket) {
        ([1], None) => Standing::AccountExpired,
        ([2], None) => Standing::PasswordExpired,
        ([3], None) => Standing::NotNow,
        ([4], _) => Standing::NewPassword,
        _ => return Err(DecodeError::Invalid(tag::STANDING)),
    };
    Ok(Verdict::Withheld { standing, ticket: ticket.map(ticket_of).transpose()? })
}

/// Sorts the fields into their slots; each at most once, unknown ones by their critical bit.
fn collect<'a>(mut fields: Reader<'a>, slots: &mut [(u8, &mut Option<&'a [u8]>)]) -> Result<(), DecodeError> {
    while let Some((tag, value)) = fields.next()? {
        match slots.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, slot)) => once(slot, value)?,
            None if tag & CRITICAL != 0 => return Err(DecodeError::UnknownCritical(tag)),
            None => {}
        }
    }
    Ok(())
}

fn required(tag: u8, value: Option<&[u8]>) -> Result<&[u8], DecodeError> {
    value.ok_or(DecodeError::Missing(tag))
}

fn item(tag: u8, value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if value.len() > MAX_ITEM {
        return Err(DecodeError::Invalid(tag));
    }
    Ok(value.to_vec())
}

fn text(value: &[u8]) -> Result<String, DecodeError> {
    let shown = core::str::from_utf8(value).map_err(|_| DecodeError::Invalid(tag::TEXT))?;
    if shown.len() > MAX_TEXT || shown.contains('\0') {
        return Err(DecodeError::Invalid(tag::TEXT));
    }
    Ok(shown.to_owned())
}

fn boolean(tag: u8, value: &[u8]) -> Result<bool, DecodeError> {
    match value {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(DecodeError::Invalid(tag)),
    }
}

fn ticket_of(value: &[u8]) -> Result<Secret, DecodeError> {
    if value.len() == TICKET_BYTES {
        Ok(Secret::copy_of(value))
    } else {
        Err(DecodeError::Invalid(tag::TICKET))
    }
}

fn authtok_of(value: &[u8]) -> Result<AuthTok, DecodeError> {
    let &[answer, high, low] = value else { return Err(DecodeError::Invalid(tag::AUTHTOK)) };
    let length = u16::from_be_bytes([high, low]);
    if usize::from(length) > MAX_ANSWER {
        return Err(DecodeError::Invalid(tag::AUTHTOK));
    }
    Ok(AuthTok { answer, length })
}

fn flag(value: bool) -> &'static [u8] {
    if value { YES } else { NO }
}

fn cut(value: &[u8], limit: usize) -> &[u8] {
    value.get(..limit).unwrap_or(value)
}

fn cut_text(value: &str) -> &[u8] {
    let mut end = value.len().min(MAX_TEXT);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let shown = value.get(..end).unwrap_or_default();
    shown.split('\0').next().unwrap_or_default().as_bytes()
}
