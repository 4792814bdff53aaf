//! Networks that somebody wrote down: prefix files, and the named prefix lists of a World.
//!
//! A line of a file is a network and what is true of it; `#` begins a comment:
//!
//! ```text
//! 198.51.100.0/24   office partners                    in two named lists
//! 2001:db8:53::/48  country=DE location=52.5,13.4      a resolver that stands there, whatever databases say
//! 192.0.2.53        country=US subdivision=CA asn=64500
//! ```
//!
//! Of networks inside each other the smaller one's country and location count for it, and it is in the lists of both.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use model::Location;

use super::{
    fold::Folded,
    layer::{Facts, Ground, Layer, Tilers, join_lists, last_of},
    table::Family,
};

/// How many networks a file may have.
const MAX_PREFIXES: usize = 1_000_000;

/// Why networks cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// A line that is not understood.
    #[error("line {line}: {why}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it, and what is expected.
        why: String,
    },
    /// A network of a World's list.
    #[error("prefix list `{list}`: {why}")]
    List {
        /// Name of the list.
        list: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than are taken.
    #[error("more than {MAX_PREFIXES} networks; a database in MaxMind's format takes any number")]
    TooMany,
}

/// Reads a prefix file. `source` is what it is called when it is asked where a place comes from.
pub fn read_prefixes(text: &str, source: &str) -> Result<Layer, PrefixError> {
    let mut networks = Networks::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(network) = words.next() else { continue };
        let read = || Ok((Network::parse(network)?, facts(words).and_then(Facts::not_empty)?));
        let (network, facts) = read().map_err(|why| PrefixError::Line { line: number + 1, why })?;
        networks.add(network, facts)?;
    }
    Ok(networks.layer(source))
}

/// The layer of named lists of networks.
pub(super) fn layer_of_lists<'l>(
    lists: impl IntoIterator<Item = (&'l str, &'l [String])>,
    source: &str,
) -> Result<Layer, PrefixError> {
    let mut networks = Networks::default();
    for (name, prefixes) in lists {
        let facts = Facts { lists: vec![name.into()], ..Facts::default() };
        for prefix in prefixes {
            let network = Network::parse(prefix).map_err(|why| PrefixError::List { list: name.to_owned(), why })?;
            networks.add(network, facts.clone())?;
        }
    }
    Ok(networks.layer(source))
}

/// What the words behind a network say.
fn facts<'w>(words: impl Iterator<Item = &'w str>) -> Result<Facts, String> {
    let mut facts = Facts::default();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            join_lists(&mut facts.lists, &[list_name(word)?]);
            continue;
        };
        let ground = facts.ground.get_or_insert_default();
        match key {
            "country" => ground.country = Some(capitals(value).ok_or("`country` is two capital letters (ISO 3166-1)")?),
            "subdivision" => ground.subdivision = Some(subdivision(value)?.into()),
            "location" => ground.location = Some(location(value)?),
            "asn" => {
                let asn = value.strip_prefix("AS").unwrap_or(value).parse().ok().filter(|&asn| asn > 0);
                facts.asn = Some(asn.ok_or("`asn` is a number from 1 to 4294967295")?);
            }
            _ => return Err(format!("`{key}` is not known; country, subdivision, location and asn are")),
        }
    }
    // An autonomous system alone says nothing of the ground.
    facts.ground = facts.ground.filter(|ground| *ground != Ground::default());
    if facts.ground.as_ref().is_some_and(|ground| ground.subdivision.is_some() && ground.country.is_none()) {
        return Err("`subdivision` stands beside `country`".to_owned());
    }
    Ok(facts)
}

impl Facts {
    fn not_empty(self) -> Result<Self, String> {
        if self == Self::default() {
            return Err("write behind the network what is true of it: names of lists, country=DE, location=52.5,13.4, asn=64500".into());
        }
        Ok(self)
    }

    /// What is true of a network inside another one: its own word where it has one, and the lists of both.
    fn inside(&self, outer: &Self) -> Self {
        let mut lists = self.lists.clone();
        join_lists(&mut lists, &outer.lists);
        Self { ground: self.ground.clone().or_else(|| outer.ground.clone()), asn: self.asn.or(outer.asn), lists }
    }
}

/// Names of lists are written like names of regions.
fn list_name(word: &str) -> Result<Arc<str>, String> {
    match model::RegionName::new(word) {
        Ok(_) => Ok(word.into()),
        Err(error) => Err(format!("`{word}` is not a name of a list: {}", error.why)),
    }
}

fn capitals(text: &str) -> Option<[u8; 2]> {
    text.as_bytes().try_into().ok().filter(|code: &[u8; 2]| code.iter().all(u8::is_ascii_uppercase))
}

fn subdivision(text: &str) -> Result<&str, String> {
    let sound = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    sound
        .then_some(text)
        .ok_or_else(|| "`subdivision` is what ISO 3166-2 puts behind the country: BY of DE-BY".to_owned())
}

fn location(text: &str) -> Result<Location, String> {
    let parse = || {
        let (latitude, longitude) = text.split_once(',')?;
        Some(Location { latitude: latitude.parse().ok()?, longitude: longitude.parse().ok()? })
    };
    let on_map = |l: &Location| (-90.0..=90.0).contains(&l.latitude) && (-180.0..=180.0).contains(&l.longitude);
    parse().filter(on_map).ok_or_else(|| "`location` is degrees north and east: location=52.5,13.4".to_owned())
}

/// A network: the keys of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Network {
    v6: bool,
    first: u64,
    last: u64,
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr
            .parse()
            .map_err(|_| format!("`{text}` is not a network; one is written 192.0.2.0/24 or 2001:db8::/32"))?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix
                .parse::<u8>()
                .ok()
                .filter(|&prefix| prefix <= bits)
                .ok_or_else(|| format!("`{text}`: the length of a prefix is 0 to {bits}"))?,
        };
        let folded = Folded::of(addr);
        if folded.lead > 0 {
            return Err(format!("`{text}` is looked up as the IPv4 address in it; write that one"));
        }
        let v6 = folded.family == Family::V6;
        if v6 && prefix > 64 {
            return Err(format!("`{text}`: of IPv6 the first 64 bits count; write its /64"));
        }
        let last = if v6 { last_of::<u64>(folded.key, prefix) } else { last_of::<u32>(folded.key, prefix) };
        let low_half = match addr {
            IpAddr::V4(_) => 0,
            IpAddr::V6(v6) => u128::from(v6) as u64,
        };
        if has_host_bits(folded.key, v6, prefix) || low_half != 0 {
            return Err(format!("`{text}` has bits behind its length"));
        }
        Ok(Self { v6, first: folded.key, last })
    }
}

/// Whether bits behind the prefix are set in a key.
fn has_host_bits(key: u64, v6: bool, prefix: u8) -> bool {
    let host = if v6 { last_of::<u64>(0, prefix) } else { last_of::<u32>(0, prefix) };
    key & host != 0
}

/// Networks on their way to a layer.
#[derive(Debug, Default)]
struct Networks(Vec<(Network, Facts)>);

impl Networks {
    fn add(&mut self, network: Network, facts: Facts) -> Result<(), PrefixError> {
        self.0.push((network, facts));
        if self.0.len() > MAX_PREFIXES { Err(PrefixError::TooMany) } else { Ok(()) }
    }

    fn layer(mut self, source: &str) -> Layer {
        // The larger before the smaller ones inside it; of the same network in the order in which they were written.
        self.0.sort_by_key(|(network, _)| (network.v6, network.first, u64::MAX - network.last));
        let mut sweep =
            Sweep { tilers: Tilers::new(), facts: Vec::new(), numbers: HashMap::new(), open: Vec::new(), at: 0 };
        for v6 in [false, true] {
            sweep.at = 0;
            self.0
                .iter()
                .filter(|(network, _)| network.v6 == v6)
                .for_each(|(network, facts)| sweep.begin(*network, facts));
            sweep.close(v6, u64::MAX);
        }
        sweep.tilers.finish(source, sweep.facts)
    }
}

/// Goes over networks from the first key to the last.
struct Sweep {
    tilers: Tilers,
    facts: Vec<Facts>,
    /// What lists alone say is said by many networks.
    numbers: HashMap<Vec<Arc<str>>, u32>,
    /// The networks around the present key, the smallest last: last keys and numbers of facts.
    open: Vec<(u64, u32)>,
    /// The first key that is not settled.
    at: u64,
}

impl Sweep {
    fn begin(&mut self, network: Network, facts: &Facts) {
        self.close(network.v6, network.first);
        let around = self.open.last().and_then(|&(_, number)| self.facts.get(number as usize - 1));
        let facts = around.map_or_else(|| facts.clone(), |around| facts.inside(around));
        if let (Some(&(_, number)), Some(before)) = (self.open.last(), network.first.checked_sub(1)) {
            self.put(network.v6, before, number);
        }
        self.at = network.first;
        let number = self.number(facts);
        self.open.push((network.last, number));
    }

    /// Ends the networks that end before a key.
    fn close(&mut self, v6: bool, key: u64) {
        while let Some(&(last, number)) = self.open.last().filter(|&&(last, _)| last < key || key == u64::MAX) {
            self.put(v6, last, number);
            self.open.pop();
        }
    }

    /// Settles the keys up to `last`.
    fn put(&mut self, v6: bool, last: u64, number: u32) {
        if self.at > last {
            return;
        }
        if v6 {
            self.tilers.put_v6(self.at, last, number);
        } else {
            self.tilers.put_v4(self.at, last, number);
        }
        self.at = last.saturating_add(1);
    }

    fn number(&mut self, facts: Facts) -> u32 {
        let lists_alone = facts.ground.is_none() && facts.asn.is_none();
        if let Some(&number) = self.numbers.get(&facts.lists).filter(|_| lists_alone) {
            return number;
        }
        if lists_alone {
            self.numbers.insert(facts.lists.clone(), self.facts.len() as u32 + 1);
        }
        self.facts.push(facts);
        self.facts.len() as u32
    }
}
