//! The conversation with one module over one connection: questions out, answers in, a verdict at the end. A frame
//! that is malformed, oversized, half or slow ends its own conversation and nothing else.

use crate::attempt::Deadline;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;
use twinlock_policy::Questions;
use twinlock_protocol::{Answer, Assembler, Begin, Message, Secret, Tell, Verdict};
use zeroize::Zeroize;

/// For the opening frame.
const OPENING: Duration = Duration::from_secs(5);
/// For a frame to be complete once its first byte is there.
const FRAME: Duration = Duration::from_secs(5);
/// For a person to type everything that is asked; sshd's own limit is 120 s.
const TYPING: Duration = Duration::from_secs(100);
/// For one frame to be taken by the other side.
const SENDING: Duration = Duration::from_secs(5);

/// The two prompts, as ssh clients and scripts look for them.
pub const PASSWORD_PROMPT: &str = "Password: ";
/// See [`PASSWORD_PROMPT`].
pub const CODE_PROMPT: &str = "Verification code: ";
/// The three of a password's change.
pub const CURRENT_PROMPT: &str = "Current password: ";
/// See [`CURRENT_PROMPT`].
pub const NEW_PROMPT: &str = "New password: ";
/// See [`CURRENT_PROMPT`].
pub const AGAIN_PROMPT: &str = "Retype new password: ";
/// Behind what must be seen before the login goes on.
pub const PAUSE_PROMPT: &str = "Press Enter to go on: ";

/// What sshd sends instead of the typed bytes for accounts it will refuse by itself (auth-pam.c), cut or repeated to
/// the typed length.
const SSHD_MARKER: &[u8] = b"\x08\x0a\x0d\x7f";

/// Why a conversation ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The other side hung up, could not ask, or spoke out of turn.
    Abandoned,
    /// Nothing came in time.
    TimedOut,
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Answers {
    /// To one question each; absent where it was not asked.
    Separate {
        /// What the person gave as password.
        password: Option<Secret>,
        /// What the person gave as code.
        code: Option<Secret>,
    },
    /// In one field: the password, and behind it perhaps a code.
    Field(Secret),
    /// sshd will refuse this account itself and hides what was typed. Nothing may be compared.
    SshdMarker,
}

/// One conversation.
pub struct Dialogue {
    stream: UnixStream,
    assembler: Assembler,
    last_answer: Instant,
}

impl Dialogue {
    /// Takes over a connection.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, assembler: Assembler::new(), last_answer: Instant::now() }
    }

    /// The opening message.
    ///
    /// # Errors
    /// [`Broken`] when the connection does not begin with one, in time.
    pub async fn begin(&mut self) -> Result<Begin, Broken> {
        match self.read(Deadline::within(OPENING)).await? {
            Message::Begin(begin) => {
                self.last_answer = Instant::now();
                Ok(begin)
            }
            Message::Ask { .. } | Message::Tell { .. } | Message::Answer(_) | Message::Verdict(_) => {
                Err(Broken::Abandoned)
            }
        }
    }

    /// When the person's part was over: ticks are counted from here.
    #[must_use]
    pub const fn last_answer(&self) -> Instant {
        self.last_answer
    }

    /// Asks all the questions, in their order, and only then looks at any answer.
    ///
    /// # Errors
    /// [`Broken`]; nothing typed so far is used.
    pub async fn collect(&mut self, questions: Questions) -> Result<Answers, Broken> {
        let deadline = Deadline::within(TYPING);
        if questions.single && (questions.password || questions.code) {
            let field = self.ask(PASSWORD_PROMPT, deadline).await?;
            return Ok(if is_sshd_marker(&field) { Answers::SshdMarker } else { Answers::Field(field) });
        }
        let password =
            if questions.password { Some(self.ask(PASSWORD_PROMPT, deadline).await?) } else { None };
        let code = if questions.code { Some(self.ask(CODE_PROMPT, deadline).await?) } else { None };
        if password.iter().chain(&code).any(is_sshd_marker) {
            return Ok(Answers::SshdMarker);
        }
        match (password, code) {
            (Some(password), Some(code)) if password == code && !password.is_empty() => {
                Ok(Answers::Field(password))
            }
            (password, code) => Ok(Answers::Separate { password, code }),
        }
    }

    /// Shows an error. Whether it arrives changes nothing.
    pub async fn complain(&mut self, text: &str) {
        let _ = self.send(&Message::Tell { style: Tell::Error, text: text.to_owned() }).await;
    }

    /// What a password's change begins with: the one that is in force, and a code where one may be needed.
    ///
    /// # Errors
    /// As [`Dialogue::collect`].
    pub async fn current(&mut self, code: bool) -> Result<Answers, Broken> {
        let deadline = Deadline::within(TYPING);
        let password = Some(self.ask(CURRENT_PROMPT, deadline).await?);
        let code = if code { Some(self.ask(CODE_PROMPT, deadline).await?) } else { None };
        if password.iter().chain(&code).any(is_sshd_marker) {
            return Ok(Answers::SshdMarker);
        }
        Ok(Answers::Separate { password, code })
    }

    /// The new password, and the same once more.
    ///
    /// # Errors
    /// As [`Dialogue::collect`].
    pub async fn new_password(&mut self) -> Result<(Secret, Secret), Broken> {
        let deadline = Deadline::within(TYPING);
        let new = self.ask(NEW_PROMPT, deadline).await?;
        Ok((new, self.ask(AGAIN_PROMPT, deadline).await?))
    }

    /// Asks for one more code. The person has as long as for all the questions before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn confirmation(&mut self) -> Result<Secret, Broken> {
        self.ask(CODE_PROMPT, Deadline::within(TYPING)).await
    }

    /// Waits until the person has seen what was told: sshd shows it for certain only with a question behind it. Whether they
    /// answer, and what, changes nothing.
    pub async fn pause(&mut self) {
        // A caller that is gone is found by what follows.
        let _ = self.ask(PAUSE_PROMPT, Deadline::within(TYPING)).await;
    }

    /// Whether the other side has hung up, or speaks although nothing was asked.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        let mut byte = [0];
        match self.stream.try_read(&mut byte) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Tells the person something. Whether it arrives changes nothing.
    pub async fn tell(&mut self, text: &str) {
        // The caller may be gone, which the verdict's way out finds too.
        let _ = self.send(&Message::Tell { style: Tell::Info, text: text.to_owned() }).await;
    }

    /// The last word. Whether it arrives changes nothing any more.
    pub async fn conclude(mut self, verdict: Verdict) {
        // The verdict is settled and recorded; a caller that is gone does not need it.
        let _ = self.send(&Message::Verdict(verdict)).await;
    }

    async fn ask(&mut self, prompt: &str, deadline: Deadline) -> Result<Secret, Broken> {
        self.send(&Message::Ask { prompt: prompt.to_owned(), echo: false }).await?;
        let message = self.read(deadline).await?;
        self.last_answer = Instant::now();
        match message {
            Message::Answer(Answer::Typed(typed)) => Ok(typed),
            // More than PAM can carry: never right, and never compared. Empty stands for it.
            Message::Answer(Answer::TooLong) => Ok(Secret::default()),
            Message::Answer(Answer::Refused)
            | Message::Begin(_)
            | Message::Ask { .. }
            | Message::Tell { .. }
            | Message::Verdict(_) => Err(Broken::Abandoned),
        }
    }

    async fn send(&mut self, message: &Message) -> Result<(), Broken> {
        let frame = message.encode();
        match Deadline::within(SENDING).bound(self.stream.write_all(&frame)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(Broken::Abandoned),
            None => Err(Broken::TimedOut),
        }
    }

    async fn read(&mut self, deadline: Deadline) -> Result<Message, Broken> {
        let mut deadline = deadline;
        let mut chunk = [0u8; 1024];
        loop {
            let wanted = self.assembler.wants().min(chunk.len());
            let Some(room) = chunk.get_mut(..wanted) else { return Err(Broken::Abandoned) };
            let count = match deadline.bound(self.stream.read(room)).await {
                None => return Err(Broken::TimedOut),
                Some(Ok(0) | Err(_)) => return Err(Broken::Abandoned),
                Some(Ok(count)) => count,
            };
            if !self.assembler.has_begun() {
                deadline = deadline.at_most(FRAME);
            }
            let body = self.assembler.push(chunk.get(..count).unwrap_or_default());
            chunk.zeroize();
            match body {
                Err(_) => return Err(Broken::Abandoned),
                Ok(None) => {}
                Ok(Some(body)) => return Message::decode(&body).map_err(|_| Broken::Abandoned),
            }
        }
    }
}

fn is_sshd_marker(answer: &Secret) -> bool {
    let typed = answer.expose();
    !typed.is_empty() && typed.iter().zip(SSHD_MARKER).all(|(typed, marker)| typed == marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collected(questions: Questions, answers: &[&[u8]]) -> Result<Answers, Broken> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut dialogue = Dialogue::new(ours);
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        let module = tokio::spawn(async move {
            let mut peer = Dialogue::new(theirs);
            for answer in answers {
                let Ok(Message::Ask { echo: false, .. }) = peer.read(Deadline::within(OPENING)).await else {
                    return;
                };
                peer.send(&Message::Answer(Answer::Typed(Secret::new(answer)))).await.unwrap();
            }
            // Stays to the end, so that a missing answer is a hang-up and not a lost race.
        });
        let result = dialogue.collect(questions).await;
        module.await.unwrap();
        result
    }

    const BOTH: Questions = Questions { password: true, code: true, single: false };

    fn secret(text: &[u8]) -> Secret {
        Secret::copy_of(text)
    }

    #[tokio::test]
    async fn two_prompts_give_two_answers() {
        let answers = collected(BOTH, &[b"pw", b"123456"]).await.unwrap();
        assert_eq!(
            answers,
            Answers::Separate { password: Some(secret(b"pw")), code: Some(secret(b"123456")) }
        );
    }

    #[tokio::test]
    async fn an_application_that_repeats_its_answer_has_one_field() {
        let answers = collected(BOTH, &[b"pw123456", b"pw123456"]).await.unwrap();
        assert_eq!(answers, Answers::Field(secret(b"pw123456")));
        let answers = collected(BOTH, &[b"", b""]).await.unwrap();
        assert_eq!(answers, Answers::Separate { password: Some(secret(b"")), code: Some(secret(b"")) });
    }

    #[tokio::test]
    async fn a_service_with_one_field_is_asked_once() {
        let one = Questions { single: true, ..BOTH };
        assert_eq!(collected(one, &[b"pw123456"]).await.unwrap(), Answers::Field(secret(b"pw123456")));
    }

    #[tokio::test]
    async fn sshds_marker_is_recognised_whole_cut_or_repeated_and_nothing_else_is() {
        for marker in
            [b"\x08".as_slice(), b"\x08\n", b"\x08\n\r", b"\x08\n\r\x7f", b"\x08\n\r\x7fINCORRECT\x08\n"]
        {
            assert_eq!(collected(BOTH, &[marker, marker]).await.unwrap(), Answers::SshdMarker);
            assert_eq!(collected(BOTH, &[b"pw", marker]).await.unwrap(), Answers::SshdMarker);
        }
        for other in [b"".as_slice(), b"\n", b"a\x08\n\r\x7f", b"\x08\n\rx"] {
            assert_ne!(collected(BOTH, &[other, b"1"]).await.unwrap(), Answers::SshdMarker);
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_between_two_answers_has_abandoned() {
        assert_eq!(collected(BOTH, &[b"pw"]).await, Err(Broken::Abandoned));
        assert_eq!(collected(BOTH, &[]).await, Err(Broken::Abandoned));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_never_ends_is_given_up_in_five_seconds() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[0, 0, 0, 9, 0]).await.unwrap();
        let started = Instant::now();
        assert_eq!(Dialogue::new(ours).begin().await, Err(Broken::TimedOut));
        assert!(started.elapsed() <= Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_and_says_nothing_is_given_up_in_five_seconds() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let started = Instant::now();
        assert_eq!(Dialogue::new(ours).begin().await, Err(Broken::TimedOut));
        assert!(started.elapsed() <= Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_has_a_hundred_seconds_for_all_questions_together() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let slow = tokio::spawn(async move {
            let mut peer = Dialogue::new(theirs);
            peer.read(Deadline::within(TYPING)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            peer.send(&Message::Answer(Answer::Typed(secret(b"pw")))).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(peer);
        });
        let started = Instant::now();
        assert_eq!(Dialogue::new(ours).collect(BOTH).await, Err(Broken::TimedOut));
        assert!(
            started.elapsed() >= Duration::from_secs(100) && started.elapsed() < Duration::from_secs(101)
        );
        slow.await.unwrap();
    }

    async fn answering(answer: Answer) -> (Dialogue, Result<Answers, Broken>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut dialogue = Dialogue::new(ours);
        let module = tokio::spawn(async move {
            let mut peer = Dialogue::new(theirs);
            peer.read(Deadline::within(OPENING)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            peer.send(&Message::Answer(answer)).await.unwrap();
            peer
        });
        let answers = dialogue.collect(Questions { code: false, ..BOTH }).await;
        module.await.unwrap();
        (dialogue, answers)
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_are_counted_from_the_last_answer() {
        let (dialogue, _) = answering(Answer::Typed(secret(b"pw"))).await;
        assert!(dialogue.last_answer().elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_ask_has_abandoned_and_an_over_long_answer_counts_as_an_empty_one() {
        assert_eq!(answering(Answer::Refused).await.1, Err(Broken::Abandoned));
        let empty = Answers::Separate { password: Some(Secret::default()), code: None };
        assert_eq!(answering(Answer::TooLong).await.1, Ok(empty));
    }

    #[tokio::test]
    async fn a_hang_up_is_noticed_without_reading_a_message() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dialogue = Dialogue::new(ours);
        assert!(!dialogue.is_abandoned());
        drop(theirs);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(dialogue.is_abandoned());
    }
}
