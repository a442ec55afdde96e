//! The sets of the kernel table.
//!
//! Sets that hold sources are plain hash sets: adding one element among a million costs the same as
//! among ten, which is not so for interval sets.
//!
//! They are never listed. For each part of a listing that fits one message, the kernel walks the set
//! from its beginning (`nft_rhash_walk`), so a listing takes time with the square of the size: half
//! a second for 50,000 elements, 17 s for 200,000, minutes for a million. And their elements have no
//! counters: those would cost more than the elements (4 µs of 6 for each, in `pcpu_alloc`). Who is
//! stopped is counted in sets of their own, which rules fill with those who really come.

use std::time::Duration;

use ipnet::IpNet;
use nftables::expr::{Expression, NamedExpression, Prefix, Range};
use nftables::schema::{Set, SetFlag, SetType, SetTypeValue};
use nftables::types::NfFamily;
use serde_json::{Value, json};

use super::kernel_rate::KernelRate;
use super::names::{BANNED_AT, FAMILIES, Family, STOPPED, STOPPED_AT, TABLE};
use super::ruleset::{has_trusted, of_family};
use crate::config::Config;
use crate::policy::PortSet;

/// One set: its declaration, and its elements where the config decides them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KernelSet {
    pub(super) name: String,
    pub(super) kind: SetType,
    /// Every element has a port besides.
    pub(super) with_port: bool,
    /// Holds prefixes or ranges.
    pub(super) interval: bool,
    /// Elements end by themselves.
    pub(super) expires: bool,
    /// Rules fill it.
    pub(super) dynamic: bool,
    pub(super) timeout: Option<u32>,
    pub(super) size: Option<u32>,
    /// Every element counts the packets that met it.
    pub(super) counter: bool,
    /// `Some` if the config decides what is in it.
    pub(super) elements: Option<Vec<Value>>,
}

/// The most wide prefixes that can be banned: more of them would slow every change of the table,
/// because nft reads interval sets before it writes.
pub(super) const WIDE_LIMIT: usize = 1000;

/// How long the kernel counts a source's stopped packets without a new one.
const STOPPED_FOR: u32 = 300;

/// The most sources whose stopped packets are counted one by one. The sets are listed every minute
/// or, if that takes long, every few; and the kernel needs time with the square of their size for it:
/// half a second for so many. Whoever finds no room is stopped all the same.
const COUNTED_LIMIT: u32 = 65_536;

impl KernelSet {
    fn hash(family: Family, stem: &str, size: u32) -> Self {
        Self {
            name: family.set(stem),
            kind: if family == Family::V4 { SetType::Ipv4Addr } else { SetType::Ipv6Addr },
            with_port: false,
            interval: false,
            expires: true,
            dynamic: false,
            timeout: None,
            size: Some(size),
            counter: false,
            elements: None,
        }
    }

    fn filled_by_rules(family: Family, stem: &str, size: u32, timeout: u32) -> Self {
        Self { dynamic: true, timeout: Some(timeout), ..Self::hash(family, stem, size) }
    }

    fn fixed(name: String, kind: SetType, elements: Vec<Value>) -> Self {
        Self {
            name,
            kind,
            expires: false,
            interval: true,
            elements: Some(elements),
            size: None,
            ..Self::hash(Family::V4, "", 0)
        }
    }

    /// What its elements are made of.
    pub(super) fn element_type(&self) -> SetTypeValue<'static> {
        if self.with_port {
            SetTypeValue::Concatenated(vec![self.kind, SetType::InetService].into())
        } else {
            SetTypeValue::Single(self.kind)
        }
    }

    /// The declaration, without elements, as nft wants it.
    pub(super) fn declaration(&self) -> Value {
        // "dynamic" stays out: nft 1.0.6 refuses the word in JSON and adds the flag by itself
        // when a rule updates the set.
        let mut flags = Vec::new();
        if self.interval {
            flags.push(SetFlag::Interval);
        }
        if self.expires {
            flags.push(SetFlag::Timeout);
        }
        let set = Set {
            family: NfFamily::INet,
            table: TABLE.into(),
            name: self.name.as_str().into(),
            set_type: self.element_type(),
            flags: Some(flags.into_iter().collect()),
            timeout: self.timeout,
            size: self.size,
            ..Set::default()
        };
        let mut declared = serde_json::to_value(set).unwrap_or(Value::Null);
        if let Some(fields) = declared.as_object_mut()
            && self.counter
        {
            // The crate's type has no such field.
            fields.insert("stmt".into(), json!([{ "counter": null }]));
        }
        declared
    }
}

/// A prefix as a set element.
pub(super) fn prefix(net: IpNet) -> Value {
    let address = Expression::String(net.network().to_string().into());
    if net.prefix_len() == net.max_prefix_len() {
        return serde_json::to_value(address).unwrap_or(Value::Null);
    }
    let prefix = Prefix { addr: Box::new(address), len: u32::from(net.prefix_len()) };
    serde_json::to_value(NamedExpression::Prefix(prefix)).unwrap_or(Value::Null)
}

/// Ports as set elements.
pub(super) fn ports(set: &PortSet) -> Vec<Value> {
    let number = |port: u16| Expression::Number(u32::from(port));
    let element = |range: std::ops::RangeInclusive<u16>| {
        if range.start() == range.end() {
            number(*range.start())
        } else {
            let range = [number(*range.start()), number(*range.end())];
            Expression::Range(Box::new(Range { range }))
        }
    };
    let elements = set.ranges().into_iter().map(element);
    elements.map(|e| serde_json::to_value(e).unwrap_or(Value::Null)).collect()
}

/// The ports of this host that suspects may knock at: those served now, those named in the
/// policy, and those that were served a moment ago.
pub(super) fn served(config: &Config) -> PortSet {
    let ports = &config.policy.ports;
    let mut served = PortSet::default();
    if ports.any {
        served.insert_range(0..=u16::MAX);
    }
    for set in [&ports.open, &ports.served, &ports.closing] {
        set.ranges().into_iter().for_each(|range| served.insert_range(range));
    }
    served
}

/// Prefixes of which none contains another: nft's interval sets refuse overlaps.
pub(super) fn disjoint(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    nets = nets.into_iter().map(|net| net.trunc()).collect();
    IpNet::aggregate(&nets)
}

/// All sets for `config`, in the order in which they are declared.
pub(super) fn sets(config: &Config) -> Vec<KernelSet> {
    let size = config.guard.set_size;
    let secs = |span: Duration| u32::try_from(span.as_secs().max(1)).unwrap_or(u32::MAX);
    let mut sets = Vec::new();
    sets.extend(FAMILIES.map(|f| KernelSet::hash(f, "banned", size)));
    sets.extend(
        FAMILIES.map(|f| KernelSet { with_port: true, ..KernelSet::hash(f, BANNED_AT, size) }),
    );
    sets.extend(FAMILIES.map(|f| KernelSet {
        counter: true,
        interval: true,
        ..KernelSet::hash(f, "refused", WIDE_LIMIT as u32 * 2)
    }));
    sets.extend(FAMILIES.map(|f| KernelSet::hash(f, "suspect", size)));
    let counted = size.min(COUNTED_LIMIT);
    sets.extend(FAMILIES.map(|f| KernelSet::filled_by_rules(f, STOPPED, counted, STOPPED_FOR)));
    sets.extend(FAMILIES.map(|f| KernelSet {
        with_port: true,
        ..KernelSet::filled_by_rules(f, STOPPED_AT, counted, STOPPED_FOR)
    }));
    if let Some(rate) = config.guard.ceiling {
        let idle = secs(KernelRate::of(rate).refill());
        sets.extend(FAMILIES.map(|f| KernelSet::filled_by_rules(f, "ceiling", size, idle)));
    }
    let proven = secs(config.guard.proven_for);
    sets.extend(FAMILIES.map(|f| KernelSet::filled_by_rules(f, "proven", size, proven)));
    sets.push(served_set(config));
    if !config.guard.protect.is_empty() {
        let mut any = PortSet::default();
        any.insert_range(0..=u16::MAX);
        let behind = config.policy.ports.open_behind.as_ref().unwrap_or(&any);
        sets.push(of_ports("served_behind", behind));
    }
    let protect = disjoint(config.guard.protect.clone());
    let protect = FAMILIES.map(|family| prefixes(family, "protect", &protect));
    sets.extend(protect.into_iter().filter(|set| set.elements != Some(Vec::new())));
    sets.extend(trusted(config));
    sets
}

/// The set of served ports.
pub(super) fn served_set(config: &Config) -> KernelSet {
    of_ports("served", &served(config))
}

fn of_ports(name: &str, set: &PortSet) -> KernelSet {
    KernelSet::fixed(name.into(), SetType::InetService, ports(set))
}

/// The sets of trusted prefixes: of the families that have any, or may have some.
pub(super) fn trusted(config: &Config) -> Vec<KernelSet> {
    let nets = config.policy.allowlist.in_kernel();
    let families = FAMILIES.into_iter().filter(|family| has_trusted(config, *family));
    families.map(|family| prefixes(family, "trusted", nets)).collect()
}

/// A set of those of these prefixes that are of this family.
fn prefixes(family: Family, stem: &str, nets: &[IpNet]) -> KernelSet {
    let kind = if family == Family::V4 { SetType::Ipv4Addr } else { SetType::Ipv6Addr };
    let elements = of_family(nets, family).into_iter().map(prefix).collect();
    KernelSet::fixed(family.set(stem), kind, elements)
}
