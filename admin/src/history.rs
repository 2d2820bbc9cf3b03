//! `twinlock history`: recorded attempts in the order they were decided, fetched in pages.

use crate::args::{Args, HistoryArgs};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::terminal::{harmless, print, print_json};
use crate::when;
use twinlock_control::{Cursor, HISTORY_PAGE, HistoryPage, HistoryQuery, RecordedAttempt, Reply, Request};

/// Prints what was asked for; exit code 1 if there is nothing. With `--follow` it goes on until it is ended.
pub(crate) fn run(args: &Args, asked: &HistoryArgs) -> Result<Answer, Failure> {
    let mut client = Client::connect(&args.admin_socket()?)?;
    let query = HistoryQuery {
        user: asked.user.clone(),
        source: asked.source.clone(),
        since: asked.since,
        until: asked.until,
        verdict: asked.verdict.map(|verdict| verdict.word().to_owned()),
        reason: asked.reason.clone(),
        limit: 0,
        from: None,
    };
    let (newest, attempts) = collect(&mut client, &query, asked.limit)?;
    for attempt in &attempts {
        show(args, attempt)?;
    }
    if asked.follow {
        return follow(args, &mut client, &query, newest);
    }
    Ok(if attempts.is_empty() { Answer::No } else { Answer::Yes })
}

/// The newest `most` attempts, oldest first, and the number of the newest there is.
fn collect(
    client: &mut Client,
    query: &HistoryQuery,
    most: u32,
) -> Result<(u64, Vec<RecordedAttempt>), Failure> {
    let (mut attempts, mut from, mut newest) = (Vec::new(), None, None);
    loop {
        let left = most.saturating_sub(u32::try_from(attempts.len()).unwrap_or(u32::MAX));
        let page = page(client, &HistoryQuery { limit: left.min(HISTORY_PAGE), from, ..query.clone() })?;
        newest.get_or_insert(page.newest);
        attempts.extend(page.attempts);
        from = page.next;
        if from.is_none() || attempts.len() >= most as usize {
            attempts.reverse();
            return Ok((newest.unwrap_or_default(), attempts));
        }
    }
}

fn follow(args: &Args, client: &mut Client, query: &HistoryQuery, newest: u64) -> Result<Answer, Failure> {
    let mut from = Some(Cursor::After(newest));
    loop {
        let page = page(client, &HistoryQuery { limit: HISTORY_PAGE, from, ..query.clone() })?;
        for attempt in &page.attempts {
            show(args, attempt)?;
        }
        from = page.next;
    }
}

fn page(client: &mut Client, query: &HistoryQuery) -> Result<HistoryPage, Failure> {
    let Reply::History(page) = client.ask(&Request::History(query.clone()))? else {
        return Err(unexpected());
    };
    Ok(page)
}

fn show(args: &Args, attempt: &RecordedAttempt) -> Result<(), Failure> {
    if args.json { print_json(attempt) } else { print(&line(attempt)) }
}

/// One attempt on one line.
pub(crate) fn line(attempt: &RecordedAttempt) -> String {
    let place = if attempt.place.is_empty() || attempt.place == attempt.source {
        attempt.source.clone()
    } else {
        format!("{} ({})", attempt.source, attempt.place)
    };
    let mut text = format!(
        "{}  {:11}  {:21}  {:16}  {:12}  {place}",
        when::to_the_second(attempt.at),
        attempt.verdict,
        attempt.reason,
        harmless(&attempt.user),
        attempt.service,
    );
    let more = [
        ("rule", &attempt.rule),
        ("waiver", &attempt.waiver),
        ("password", &attempt.password),
        ("code", &attempt.code),
        ("would be", &attempt.observed),
        ("failed", &attempt.detail),
    ];
    for (name, value) in more {
        if !value.is_empty() {
            text.push_str(&format!("  {name} {value}"));
        }
    }
    if attempt.phase == "account" {
        text.push_str("  account phase");
    }
    if attempt.count > 1 {
        text.push_str(&format!("  {} of them", attempt.count));
    }
    harmless(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_one_line_and_no_name_moves_the_cursor() {
        let attempt = RecordedAttempt {
            at: 1_795_478_401,
            phase: "auth".into(),
            verdict: "deny".into(),
            reason: "wrong-code".into(),
            user: "al\u{1b}[2J\nice".into(),
            service: "sshd".into(),
            source: "198.51.100.9".into(),
            place: "abroad".into(),
            rule: "everyone else".into(),
            code: "wrong".into(),
            count: 1,
            ..RecordedAttempt::default()
        };
        assert_eq!(
            line(&attempt),
            "2026-11-24 00:00:01 UTC  deny         wrong-code             al\\u{1b}[2J\\nice  sshd          \
             198.51.100.9 (abroad)  rule everyone else  code wrong"
        );
        let summed = RecordedAttempt { count: 990, source: "local".into(), place: "local".into(), ..attempt };
        assert!(line(&summed).contains("  local  rule") && line(&summed).ends_with("  990 of them"));
    }
}
