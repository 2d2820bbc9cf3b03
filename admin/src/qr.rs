//! A QR code of half-block characters, two modules a character.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Black on white, whatever the terminal's colours are: a scanner wants dark modules on a light ground.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const AS_BEFORE: &str = "\u{1b}[0m";

/// The picture of `text`.
pub(crate) struct Picture {
    rows: Vec<String>,
}

impl Picture {
    /// Draws `text` with the quiet zone that scanners want; none if it is too long for any QR code.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
        Some(Self { rows: drawn.lines().map(str::to_owned).collect() })
    }

    /// Columns it needs.
    pub(crate) fn width(&self) -> usize {
        self.rows.iter().map(|row| row.chars().count()).max().unwrap_or(0)
    }

    /// As lines for a terminal, in its own colours.
    pub(crate) fn coloured(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|row| format!("{BLACK_ON_WHITE}{row}{AS_BEFORE}")).collect();
        rows.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Twinlock";

    #[test]
    fn a_usual_uri_fits_a_terminal_of_80_by_24() {
        let picture = Picture::of(URI).unwrap();
        assert!(picture.width() <= 80, "{}", picture.width());
        assert!(picture.rows.len() <= 24, "{}", picture.rows.len());
    }

    #[test]
    fn every_line_is_black_on_white_and_leaves_the_terminal_as_before() {
        for line in Picture::of(URI).unwrap().coloured().lines() {
            assert!(line.starts_with(BLACK_ON_WHITE) && line.ends_with(AS_BEFORE));
        }
    }

    #[test]
    fn the_quiet_zone_is_there_and_dark_modules_are_drawn_as_blocks() {
        let picture = Picture::of(URI).unwrap();
        assert!(picture.rows[0].chars().all(|c| c == ' '));
        assert!(picture.rows.iter().all(|row| row.starts_with("    ") && row.ends_with("    ")));
        // The finder pattern's upper edge: seven dark modules in a row.
        assert!(picture.rows[2].starts_with("    \u{2588}\u{2580}\u{2580}\u{2580}\u{2580}\u{2580}\u{2588}"));
    }

    #[test]
    fn what_is_too_long_gets_no_picture() {
        assert!(Picture::of(&"x".repeat(4000)).is_none());
    }
}
