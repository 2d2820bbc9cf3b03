//! A QR code of half-block characters, two modules a character, for the command and for the daemon. It knows nothing of
//! what it draws, and writes nothing.
//!
//! A scanner wants dark modules on a light ground and a quiet zone around them. Where the terminal takes colours, that is
//! said in colours; a PAM conversation takes none, because ssh shows every escape character as text.

#![forbid(unsafe_code)]

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Black on white, whatever the terminal's colours are.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const AS_BEFORE: &str = "\u{1b}[0m";

/// The picture of a text, quiet zone included.
pub struct Picture {
    /// Dark modules drawn as blocks.
    rows: Vec<String>,
}

impl Picture {
    /// Draws `text`; nothing if it is too long for any QR code.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
        Some(Self { rows: drawn.lines().map(str::to_owned).collect() })
    }

    /// Columns it needs.
    #[must_use]
    pub fn width(&self) -> usize {
        self.rows.iter().map(|row| row.chars().count()).max().unwrap_or(0)
    }

    /// As text for a terminal that takes colours: right on dark and on light ones.
    #[must_use]
    pub fn coloured(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|row| format!("{BLACK_ON_WHITE}{row}{AS_BEFORE}")).collect();
        rows.join("\n")
    }

    /// As lines without colours. Light modules are drawn as blocks: right where the text is lighter than its ground. On a
    /// light ground it is reversed, which ISO/IEC 18004 provides for and phones read.
    #[must_use]
    pub fn plain(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.chars().map(reversed).collect()).collect()
    }
}

const fn reversed(block: char) -> char {
    match block {
        ' ' => '\u{2588}',
        '\u{2588}' => ' ',
        '\u{2580}' => '\u{2584}',
        '\u{2584}' => '\u{2580}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Twinlock&algorithm=SHA1&digits=6&period=30";

    /// What a camera sees of the lines on a terminal: `ink` and `paper` are its colours, 0 black and 255 white. Around it
    /// the terminal goes on.
    fn photographed(lines: &[String], ink: u8, paper: u8, around: u8) -> (usize, usize, Vec<u8>) {
        const ZOOM: usize = 6;
        const MARGIN: usize = 8;
        let columns = lines.iter().map(|line| line.chars().count()).max().unwrap() + 2 * MARGIN;
        let rows = 2 * lines.len() + 2 * MARGIN;
        let mut modules = vec![around; columns * rows];
        for (y, line) in lines.iter().enumerate() {
            for (x, block) in line.chars().enumerate() {
                let (upper, lower) = match block {
                    ' ' => (paper, paper),
                    '\u{2588}' => (ink, ink),
                    '\u{2580}' => (ink, paper),
                    '\u{2584}' => (paper, ink),
                    other => panic!("{other:?} is no block"),
                };
                modules[(MARGIN + 2 * y) * columns + MARGIN + x] = upper;
                modules[(MARGIN + 2 * y + 1) * columns + MARGIN + x] = lower;
            }
        }
        let (width, height) = (columns * ZOOM, rows * ZOOM);
        let pixel = |at: usize| modules[(at / width / ZOOM) * columns + at % width / ZOOM];
        (width, height, (0..width * height).map(pixel).collect())
    }

    fn read((width, height, pixels): (usize, usize, Vec<u8>)) -> Vec<String> {
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        image.detect_grids().iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect()
    }

    fn uncoloured(picture: &Picture) -> Vec<String> {
        let bare = |line: &str| line.replace(BLACK_ON_WHITE, "").replace(AS_BEFORE, "");
        picture.coloured().lines().map(bare).collect()
    }

    #[test]
    fn in_colours_a_reader_reads_it_on_dark_and_on_light_terminals() {
        for name in ["alice", "a.rather.long.name-of-somebody%40students.example.org"] {
            let uri = URI.replace("alice", name);
            let picture = Picture::of(&uri).unwrap();
            for around in [0, 255] {
                let seen = photographed(&uncoloured(&picture), 0, 255, around);
                assert_eq!(read(seen), std::slice::from_ref(&uri), "around it {around}");
            }
        }
    }

    #[test]
    fn without_colours_a_reader_reads_it_on_a_dark_terminal_and_reversed_on_a_light_one() {
        let lines = Picture::of(URI).unwrap().plain();
        assert_eq!(read(photographed(&lines, 229, 30, 30)), [URI], "light text on a dark ground");
        let (width, height, pixels) = photographed(&lines, 30, 250, 250);
        let turned = pixels.iter().map(|pixel| 255 - pixel).collect();
        assert_eq!(read((width, height, turned)), [URI], "dark text on a light ground, reversed");
    }

    #[test]
    fn a_usual_uri_fits_a_terminal_of_80_columns_and_a_pam_conversation() {
        let picture = Picture::of(URI).unwrap();
        assert!(picture.width() <= 80, "{}", picture.width());
        let lines = picture.plain();
        assert!(lines.len() <= 32, "{}", lines.len());
        assert!(lines.iter().all(|line| line.len() < 512), "PAM_MAX_MSG_SIZE");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn every_coloured_line_is_black_on_white_and_leaves_the_terminal_as_before() {
        for line in Picture::of(URI).unwrap().coloured().lines() {
            assert!(line.starts_with(BLACK_ON_WHITE) && line.ends_with(AS_BEFORE));
        }
    }

    #[test]
    fn the_quiet_zone_is_four_modules_on_every_side() {
        let picture = Picture::of(URI).unwrap();
        let blank = |row: &String| row.chars().all(|block| block == ' ');
        assert!(
            picture.rows[..2].iter().all(blank) && picture.rows[picture.rows.len() - 2..].iter().all(blank)
        );
        assert!(picture.rows.iter().all(|row| row.starts_with("    ") && row.ends_with("    ")));
        // The finder pattern's upper edge: seven dark modules in a row.
        assert!(picture.rows[2].starts_with("    \u{2588}\u{2580}\u{2580}\u{2580}\u{2580}\u{2580}\u{2588}"));
    }

    #[test]
    fn what_is_too_long_gets_no_picture() {
        assert!(Picture::of(&"x".repeat(4000)).is_none());
    }
}
