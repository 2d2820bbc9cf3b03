//! The table that `config check` prints: what is asked of whom from where. Services that are treated alike share their lines,
//! and so do places within them; the JSON form keeps one row for each service and place.

use twinlock_policy::check::Row;

/// What the places mean that no `[location.NAME]` explains.
const MEANINGS: [(&str, &str); 5] = [
    ("(elsewhere)", "a public address in none of the locations"),
    ("unlisted", "a public address that the GeoIP file does not know"),
    ("private", "10.0.0.0/8 and the like"),
    ("local", "this host's consoles"),
    ("unknown", "the service tells no address"),
];

/// Services that have these lines.
struct Block {
    services: Vec<String>,
    lines: Vec<Line>,
}

/// Places where this is asked and these rules decide.
#[derive(PartialEq)]
struct Line {
    places: Vec<String>,
    asked: String,
    rules: Vec<String>,
}

/// The table in columns, and a legend.
pub(crate) fn columns(table: &[Row]) -> String {
    let blocks = blocks(table);
    let cells = blocks.iter().flat_map(|block| {
        let services = block.services.join(", ");
        block.lines.iter().enumerate().map(move |(index, line)| {
            let services = if index == 0 { services.clone() } else { String::new() };
            [services, line.places.join(", "), line.asked.clone(), line.rules.join("; ")]
        })
    });
    let head = ["service", "from", "asked", "the first rule that fits decides"].map(str::to_owned);
    let all: Vec<[String; 4]> = [head].into_iter().chain(cells).collect();
    let width = |of: fn(&[String; 4]) -> &String| {
        all.iter().map(|cells| of(cells).chars().count()).max().unwrap_or_default()
    };
    let (services, places, asked) =
        (width(|[one, ..]| one), width(|[_, two, ..]| two), width(|[_, _, three, _]| three));
    let lines = all.iter().map(|[a, b, c, d]| format!("{a:services$}  {b:places$}  {c:asked$}  {d}\n"));
    let shown = MEANINGS.iter().filter(|(place, _)| table.iter().any(|row| row.place == *place));
    let legend = shown.map(|(place, meaning)| format!("{place}: {meaning}\n"));
    lines.chain(["\n".to_owned()]).chain(legend).collect()
}

fn blocks(table: &[Row]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for rows in table.chunk_by(|one, next| one.service == next.service) {
        let lines = lines(rows);
        let services = rows.first().map(|row| row.service.clone());
        match blocks.iter_mut().find(|block| block.lines == lines) {
            Some(block) => block.services.extend(services),
            None => blocks.push(Block { services: services.into_iter().collect(), lines }),
        }
    }
    blocks
}

fn lines(rows: &[Row]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for Row { place, questions, rules, .. } in rows {
        match lines.iter_mut().find(|line| line.asked == *questions && line.rules == *rules) {
            Some(line) => line.places.push(place.clone()),
            None => lines.push(Line {
                places: vec![place.clone()],
                asked: questions.clone(),
                rules: rules.clone(),
            }),
        }
    }
    if let [everywhere] = lines.as_mut_slice() {
        everywhere.places = vec!["anywhere".to_owned()];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(service: &str, place: &str, questions: &str, rule: &str) -> Row {
        Row {
            service: service.into(),
            place: place.into(),
            questions: questions.into(),
            rules: vec![rule.into()],
        }
    }

    #[test]
    fn services_and_places_that_are_treated_alike_share_a_line() {
        let mut table = vec![row("sshd", "office", "password", "office: password")];
        for service in ["login", "desk"] {
            table.push(row(service, "office", "password", "no rule: deny"));
            table.push(row(service, "local", "password", "console: password"));
            table.push(row(service, "unknown", "password", "no rule: deny"));
        }
        table.push(row("other", "office", "password", "no rule: deny"));
        let text = columns(&table);
        let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "service      from             asked     the first rule that fits decides",
                "sshd         anywhere         password  office: password",
                "login, desk  office, unknown  password  no rule: deny",
                "             local            password  console: password",
                "other        anywhere         password  no rule: deny",
            ]
        );
        assert!(
            text.ends_with("\n\nlocal: this host's consoles\nunknown: the service tells no address\n"),
            "{text}"
        );
    }
}
