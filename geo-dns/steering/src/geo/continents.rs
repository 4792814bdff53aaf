//! Country → continent.
//!
//! Countries are those of ISO 3166-1; which continent they are on is said by the geoscheme of the United Nations (UN M49, "Standard
//! country or area codes for statistical use"): its regions Africa, Asia, Europe and Oceania, of the Americas the sub-regions
//! Northern America, Central America and Caribbean as `NA` and South America as `SA`. Codes are those that MaxMind's databases use.
//! M49 knows no AN, TW and XK: they are where their neighbours are.

/// A continent and its countries.
const CONTINENTS: [(&[u8; 2], &str); 7] = [
    (
        b"AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC \
         SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW",
    ),
    (b"AN", "AQ"),
    (
        b"AS",
        "AE AF AM AZ BD BH BN BT CN CY GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY \
         TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        b"EU",
        "AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO \
         RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        b"NA",
        "AG AI AN AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI",
    ),
    (b"OC", "AS AU CC CK CX FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS"),
    (b"SA", "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE"),
];

/// The continent of a country; none if the code is not one of ISO 3166-1.
pub(super) fn continent_of(country: [u8; 2]) -> Option<[u8; 2]> {
    let has = |countries: &str| countries.split(' ').any(|code| code.as_bytes() == country);
    CONTINENTS.iter().find(|(_, countries)| has(countries)).map(|(continent, _)| **continent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_country_is_on_one_continent() {
        let all: Vec<&str> = CONTINENTS.iter().flat_map(|(_, countries)| countries.split(' ')).collect();
        let distinct: BTreeSet<&str> = all.iter().copied().collect();
        // ISO 3166-1 has 249 codes; AN and XK are in use beside them.
        assert_eq!((all.len(), distinct.len()), (251, 251));
        for (country, continent) in [
            (*b"DE", Some(*b"EU")),
            (*b"EG", Some(*b"AF")),
            (*b"TR", Some(*b"AS")),
            (*b"MX", Some(*b"NA")),
            (*b"BR", Some(*b"SA")),
            (*b"NZ", Some(*b"OC")),
            (*b"AQ", Some(*b"AN")),
            (*b"ZZ", None),
            (*b"A ", None),
        ] {
            assert_eq!(continent_of(country), continent, "{country:?}");
        }
    }
}
