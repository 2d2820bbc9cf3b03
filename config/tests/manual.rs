//! twinlock.toml(5), made from the schema: its tables, keys, documentation and defaults. What stands in the page is what the
//! schema says, so it cannot drift. `make man` says by TWINLOCK_MANUAL where to.

#![allow(clippy::wildcard_enum_match_arm, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use roff::{Inline, Roff, bold, italic, roman};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use syn::{Attribute, Expr, Fields, Item, Lit, Meta, PathArguments, Type};
use twinlock_config::Config;

/// Everything that is named in the schema's files, by its name.
struct Source(BTreeMap<String, Item>);

/// One key of a table.
struct Key {
    name: String,
    doc: String,
    holds: String,
}

impl Source {
    fn read() -> Self {
        let mut items = BTreeMap::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                for item in syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap().items {
                    match &item {
                        Item::Struct(found) => items.insert(found.ident.to_string(), item),
                        Item::Enum(found) => items.insert(found.ident.to_string(), item),
                        _ => None,
                    };
                }
            }
        }
        Self(items)
    }

    /// The keys of a table; nothing for a value.
    fn keys(&self, table: &str) -> Vec<Key> {
        let Some(Item::Struct(found)) = self.0.get(table) else { return Vec::new() };
        let Fields::Named(fields) = &found.fields else { return Vec::new() };
        let public = fields.named.iter().filter(|field| matches!(field.vis, syn::Visibility::Public(_)));
        public
            .filter(|field| !serde_words(&field.attrs).contains("skip"))
            .map(|field| Key {
                name: renamed(&field.attrs).unwrap_or_else(|| field.ident.as_ref().unwrap().to_string()),
                doc: doc(&field.attrs),
                holds: innermost(&field.ty),
            })
            .collect()
    }

    /// The words that an enumeration takes, with what each means.
    fn words(&self, name: &str) -> Vec<(String, String)> {
        let Some(Item::Enum(found)) = self.0.get(name) else { return Vec::new() };
        let style = serde_words(&found.attrs);
        found
            .variants
            .iter()
            .map(|variant| {
                let ident = variant.ident.to_string();
                let word = renamed(&variant.attrs).unwrap_or_else(|| styled(&ident, &style));
                (word, doc(&variant.attrs))
            })
            .collect()
    }
}

fn doc(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(text) = &literal.lit
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ")
}

/// What stands in `#[serde(…)]`, as text.
fn serde_words(attributes: &[Attribute]) -> String {
    let mut words = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            words.push_str(&meta.path.get_ident().unwrap().to_string());
            if let Ok(value) = meta.value() {
                let value: syn::LitStr = value.parse()?;
                words.push_str(&format!("=\"{}\"", value.value()));
            }
            words.push(' ');
            Ok(())
        });
    }
    words.split(' ').filter(|word| !word.starts_with("skip_serializing")).collect::<Vec<_>>().join(" ")
}

fn renamed(attributes: &[Attribute]) -> Option<String> {
    let words = serde_words(attributes);
    Some(words.split(' ').find_map(|word| word.strip_prefix("rename=\""))?.trim_end_matches('"').to_owned())
}

fn styled(ident: &str, style: &str) -> String {
    let parted = |between: char| {
        let mut word = String::new();
        for letter in ident.chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push(between);
            }
            word.extend(letter.to_lowercase());
        }
        word
    };
    match style
        .split(' ')
        .find_map(|word| word.strip_prefix("rename_all=\""))
        .map(|word| word.trim_end_matches('"'))
    {
        Some("kebab-case") => parted('-'),
        Some("snake_case") => parted('_'),
        Some("lowercase") => ident.to_lowercase(),
        Some("UPPERCASE") => ident.to_uppercase(),
        None => ident.to_owned(),
        Some(other) => panic!("say in this test what rename_all = {other} does"),
    }
}

/// `Thing` of `Option<Vec<Thing>>`, of a path or of a map's values.
fn innermost(found: &Type) -> String {
    let Type::Path(path) = found else { return String::new() };
    let last = path.path.segments.last().unwrap();
    match &last.arguments {
        PathArguments::AngleBracketed(inner) => match inner.args.last().unwrap() {
            syn::GenericArgument::Type(inner) => innermost(inner),
            _ => String::new(),
        },
        _ => last.ident.to_string(),
    }
}

/// Text in which what stands between backquotes is bold.
fn inlines(text: &str) -> Vec<Inline> {
    let text = text.replace("[`", "`").replace("`]", "`");
    text.split('`').enumerate().map(|(n, part)| if n % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// The defaults, as the schema fills them in below a file that says the least.
fn defaults() -> toml::Value {
    let least = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://a\"]\nbase = \"dc=a\"\n[store]\nkey = { file = \"/k\" }\n";
    toml::Value::try_from(toml::from_str::<Config>(least).unwrap()).unwrap()
}

struct Page {
    source: Source,
    roff: Roff,
    told: HashSet<String>,
    keys: usize,
}

impl Page {
    fn table(&mut self, heading: &str, name: &str, shown: Option<&toml::Value>) {
        self.roff.control("SS", [heading]);
        for key in self.source.keys(name) {
            let default = shown.and_then(|table| table.get(&key.name)).filter(|value| !value.is_table());
            self.key("", &key, default, shown);
        }
    }

    /// A key, and those of the inline table that it holds.
    fn key(&mut self, above: &str, key: &Key, default: Option<&toml::Value>, table: Option<&toml::Value>) {
        self.keys += 1;
        let name = format!("{above}{}", key.name);
        self.roff.control("TP", []);
        let mut head = vec![bold(name.clone())];
        let usual = default.map(ToString::to_string).filter(|value| value != "[]" && !self.needed(&key.name));
        if let Some(default) = usual {
            head.push(roman(format!(" = {default}")));
        }
        self.roff.text(head);
        self.roff.text(inlines(&key.doc));
        for (word, meaning) in self.source.words(&key.holds) {
            self.told.insert(word.clone());
            self.roff.control("br", []);
            let mut line = vec![italic(word), roman(": ")];
            line.extend(inlines(&meaning));
            self.roff.text(line);
        }
        let below = table.and_then(|table| table.get(&key.name)).cloned();
        for inner in self.source.keys(&key.holds) {
            let default = below.as_ref().and_then(|table| table.get(&inner.name)).cloned();
            self.key(&format!("{name}."), &inner, default.as_ref(), below.as_ref());
        }
        self.told.insert(key.name.clone());
    }

    /// Values that the least file has to say are no defaults.
    fn needed(&self, key: &str) -> bool {
        ["kind", "servers", "base", "key"].contains(&key)
    }
}

const HEAD: &str = ".SH NAME\ntwinlock.toml \\- configuration of twinlockd\n.SH SYNOPSIS\n/etc/twinlock/twinlock.toml\n\
.SH DESCRIPTION\nLocations say where a login comes from, rules say what is asked there, the tarpit says how fast anyone\n\
may guess. The first rule that matches decides; if none does, the login is refused.\n.PP\n\
The file is TOML 1.0. A key that is not known, stands twice or has a value that makes no sense stops\n\
.BR twinlockd (8)\nwith file, line, column and a hint.\n.B twinlock config check\n\
says everything that is wrong, and prints who is asked what from where, and how far a guesser gets.\n.PP\n\
Durations are written as in \"500ms\", \"30s\", \"10m\", \"4h\", \"90d\"; sizes as in \"64MiB\"; days as in \"2027\\-01\\-31\" (UTC).\n\
What is written behind a key is its default. A key with a dot is one of an inline table:\n.B lockout.failures\n\
is written lockout = { failures = 5, \\[u2026] }.\n.SH TABLES\n";

const TAIL: &str = ".SH FILES\n.TP\n.I /etc/twinlock/twinlock.toml\nthe file, 0640 root:twinlock\n.TP\n\
.I /etc/twinlock/seal.key\nseals the seeds: 64 hexadecimal digits, made once by openssl rand \\-hex 32\n\
.SH SEE ALSO\n.BR twinlockd (8),\n.BR twinlock (1),\n.BR pam_twinlock (8)\n";

#[test]
fn the_manual_page_has_every_key_of_the_schema() {
    let source = Source::read();
    let tables = source.keys("Config");
    assert!(tables.len() > 5, "the schema was not found");
    let shown = defaults();
    let mut page = Page { source, roff: Roff::new(), told: HashSet::new(), keys: 0 };
    for table in &tables {
        let heading = table.doc.split('`').nth(1).unwrap_or_else(|| panic!("{} names no table", table.name));
        let value = shown.get(&table.name);
        let value = match table.name.as_str() {
            "directory" => value.and_then(|value| value.get("main")),
            _ => value,
        };
        page.table(heading, &table.holds, value);
        assert!(!table.doc.is_empty() && !page.source.keys(&table.holds).is_empty(), "{}", table.name);
    }
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        ".TH TWINLOCK.TOML 5 \"\" \"Twinlock {version}\" Twinlock\n{HEAD}{}{TAIL}",
        page.roff.to_roff()
    );
    if let Some(folder) = std::env::var_os("TWINLOCK_MANUAL") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join("twinlock.toml.5"), &text).unwrap();
    }
    assert!(page.keys > 50, "{} keys", page.keys);
    // The parser must not lose a key that the schema has: whatever a filled-in configuration shows is told.
    let mut values = vec![
        (String::new(), shown),
        (String::new(), toml::from_str(include_str!("../twinlock.toml")).unwrap()),
    ];
    while let Some((_, value)) = values.pop() {
        match value {
            toml::Value::Table(table) => {
                for (key, below) in table {
                    let named = tables.iter().any(|table| table.name == key);
                    let given = ["main", "office", "sshd", "xrdp-sesman"].contains(&key.as_str());
                    assert!(
                        named || given || page.told.contains(&key),
                        "{key} does not stand in twinlock.toml(5)"
                    );
                    values.push((key, below));
                }
            }
            toml::Value::Array(list) => values.extend(list.into_iter().map(|value| (String::new(), value))),
            _ => {}
        }
    }
}
