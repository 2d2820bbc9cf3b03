//! A country as the file writes it and as GeoIP files tell it: two capital letters of ISO 3166-1.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The codes that are assigned (ISO 3166-1 alpha-2), and XK, which GeoIP files use for Kosovo. In order.
const CODES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// What people write for a country whose code is another.
const MISTAKEN: [(&str, &str); 4] = [("UK", "GB"), ("EL", "GR"), ("EN", "GB"), ("SU", "RU")];

/// A country's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// A code that is assigned; `None` for any other text.
    #[must_use]
    pub fn assigned(code: &str) -> Option<Self> {
        let found = CODES.split(' ').find(|assigned| *assigned == code)?;
        found.as_bytes().try_into().ok().map(Self)
    }

    /// Every one, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.split(' ').filter_map(Self::assigned)
    }

    /// Its two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Country {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(country) = Self::assigned(&text) {
            return Ok(country);
        }
        let upper = text.to_ascii_uppercase();
        let meant =
            MISTAKEN.iter().find(|(wrong, _)| *wrong == upper).map_or(upper.as_str(), |(_, code)| code);
        Err(match Self::assigned(meant) {
            Some(meant) => format!("is no country's code; did you mean {meant}?"),
            None => "is no country's code; write two capital letters of ISO 3166-1, as in \"NL\"".into(),
        })
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_iso_3166_and_kosovos() {
        let codes: Vec<_> = CODES.split(' ').collect();
        assert_eq!(codes.len(), 249 + 1);
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(codes.iter().all(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())));
    }

    #[test]
    fn what_is_no_code_is_refused_with_the_one_that_is_meant() {
        for (text, said) in
            [("nl", "NL?"), ("UK", "GB?"), ("XX", "\"NL\""), ("NLD", "\"NL\""), ("", "\"NL\"")]
        {
            assert!(Country::try_from(text.to_owned()).unwrap_err().contains(said), "{text}");
        }
        assert_eq!(Country::try_from("NL".to_owned()).unwrap().to_string(), "NL");
    }
}
