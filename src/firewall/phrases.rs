//! The phrases that rules are made of, as the nftables crate's types.
//!
//! A rule is a list of JSON values and not of [`Statement`]s, because the crate has no field for
//! the statement that a set update can carry (`update @set { ip saddr limit … }`).

use nftables::expr::{
    BinaryOperation, CT, Expression, Fib, FibFlag, FibResult, JHash, Meta, MetaKey,
    NamedExpression, Payload, PayloadBase, PayloadField, PayloadRaw, Range,
};
use nftables::stmt::{Accept, Counter, Drop, JumpTarget, Limit, Mangle, Match, Operator, Queue};
use nftables::stmt::{QueueFlag, Return, Set, SetOp, Statement};
use serde_json::{Value, json};

use super::kernel_rate::KernelRate;
use super::names::Family;

/// The mask that makes an IPv6 address the base of its /64.
const MASK6: &str = "ffff:ffff:ffff:ffff::";

pub(super) type Rule = Vec<Value>;

/// A statement as JSON. The crate's types serialise to plain JSON, which cannot fail; if it did,
/// nft would refuse the `null` and nothing would be installed.
fn value(statement: Statement<'_>) -> Value {
    serde_json::to_value(statement).unwrap_or(Value::Null)
}

fn named(expression: NamedExpression<'static>) -> Expression<'static> {
    Expression::Named(expression)
}

fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    named(NamedExpression::Payload(Payload::PayloadField(PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    })))
}

fn meta(key: MetaKey) -> Expression<'static> {
    named(NamedExpression::Meta(Meta { key }))
}

fn words(words: &[&'static str]) -> Expression<'static> {
    Expression::List(words.iter().map(|w| Expression::String((*w).into())).collect())
}

fn and(left: Expression<'static>, right: Expression<'static>) -> Expression<'static> {
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(left, right)))
}

fn compare(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Value {
    value(Statement::Match(Match { left, op, right }))
}

fn equal(left: Expression<'static>, right: Expression<'static>) -> Value {
    compare(left, Operator::EQ, right)
}

fn member(set: String) -> Expression<'static> {
    Expression::String(format!("@{set}").into())
}

/// An address field as sources are counted: the whole IPv4 address, the /64 of an IPv6 one.
fn party(family: Family, which: &'static str) -> Expression<'static> {
    match family {
        Family::V4 => field("ip", which),
        Family::V6 => and(field("ip6", which), Expression::String(MASK6.into())),
    }
}

/// `ip saddr @STEM4`, or the masked look-up of IPv6.
pub(super) fn source_in(family: Family, stem: &str) -> Value {
    equal(party(family, "saddr"), member(family.set(stem)))
}

/// `ip saddr . tcp dport @STEM4`, or the masked look-up of IPv6.
pub(super) fn source_and_port_in(family: Family, stem: &str) -> Value {
    equal(source_and_port(family), member(family.set(stem)))
}

fn source_and_port(family: Family) -> Expression<'static> {
    named(NamedExpression::Concat(vec![party(family, "saddr"), field("tcp", "dport")]))
}

/// `ip daddr @protect4`: a full address in a set of prefixes.
pub(super) fn address_in(family: Family, which: &'static str, stem: &str) -> Value {
    let protocol = if family == Family::V4 { "ip" } else { "ip6" };
    equal(field(protocol, which), member(family.set(stem)))
}

/// `tcp dport != @set`
pub(super) fn port_not_in(set: &str) -> Value {
    compare(field("tcp", "dport"), Operator::NEQ, member(set.into()))
}

/// `tcp sport @set`
pub(super) fn sent_from(set: &str) -> Value {
    equal(field("tcp", "sport"), member(set.into()))
}

/// `fib daddr type local`, or `saddr`: is it an address of this host?
pub(super) fn is_ours(which: FibFlag) -> Value {
    let fib = Fib { result: FibResult::Type, flags: [which].into() };
    equal(named(NamedExpression::Fib(fib)), Expression::String("local".into()))
}

/// `iif "lo"`
pub(super) fn loopback() -> Value {
    equal(meta(MetaKey::Iif), Expression::String("lo".into()))
}

/// `oif != "lo"`
pub(super) fn leaves() -> Value {
    compare(meta(MetaKey::Oif), Operator::NEQ, Expression::String("lo".into()))
}

/// `meta nfproto ipv4`
pub(super) fn family_is(family: Family) -> Value {
    let word = if family == Family::V4 { "ipv4" } else { "ipv6" };
    equal(meta(MetaKey::Nfproto), Expression::String(word.into()))
}

/// The two kinds of packets that open a connection or pretend to: SYN without ACK, and none of
/// SYN, RST and ACK. One rule each.
pub(super) fn openings() -> [Value; 2] {
    let flags = || field("tcp", "flags");
    [
        equal(and(flags(), words(&["syn", "ack"])), Expression::String("syn".into())),
        equal(and(flags(), words(&["syn", "rst", "ack"])), Expression::Number(0)),
    ]
}

/// What belongs to a connection, or pretends to: ACK, neither SYN nor RST.
pub(super) fn answers() -> Value {
    let mask = words(&["syn", "rst", "ack"]);
    equal(and(field("tcp", "flags"), mask), Expression::String("ack".into()))
}

/// Data that is pushed: PSH and ACK, neither SYN nor RST.
pub(super) fn pushes_data() -> Value {
    let mask = words(&["syn", "rst", "psh", "ack"]);
    equal(and(field("tcp", "flags"), mask), words(&["psh", "ack"]))
}

/// `ct direction reply`: from the side that was connected to.
pub(super) fn is_reply() -> Value {
    let ct = CT { key: "direction".into(), family: None, dir: None };
    equal(named(NamedExpression::CT(ct)), Expression::String("reply".into()))
}

/// `meta mark & bits != 0`
pub(super) fn marked(bits: u32) -> Value {
    compare(and(meta(MetaKey::Mark), Expression::Number(bits)), Operator::NEQ, zero())
}

fn zero() -> Expression<'static> {
    Expression::Number(0)
}

/// `meta mark set meta mark | bits`
pub(super) fn mark(bits: u32) -> Value {
    let both = vec![meta(MetaKey::Mark), Expression::Number(bits)];
    let value_ = Expression::BinaryOperation(Box::new(BinaryOperation::OR(both)));
    value(Statement::Mangle(Mangle { key: meta(MetaKey::Mark), value: value_ }))
}

/// `meta mark set meta mark & ~bits`
pub(super) fn unmark(bits: u32) -> Value {
    let kept = and(meta(MetaKey::Mark), Expression::Number(!bits));
    value(Statement::Mangle(Mangle { key: meta(MetaKey::Mark), value: kept }))
}

/// `update @STEM4 { ip saddr … }`, with a statement that the element carries.
pub(super) fn update(
    family: Family,
    which: &'static str,
    stem: &str,
    carries: Option<Value>,
) -> Value {
    update_with(party(family, which), family.set(stem), carries)
}

/// `update @STEM4 { ip saddr . tcp dport … }`, with a statement that the element carries.
pub(super) fn update_source_and_port(family: Family, stem: &str, carries: Option<Value>) -> Value {
    update_with(source_and_port(family), family.set(stem), carries)
}

fn update_with(elem: Expression<'static>, set: String, carries: Option<Value>) -> Value {
    let mut update =
        value(Statement::Set(Set { op: SetOp::Update, elem, set: format!("@{set}").into() }));
    if let (Some(carried), Some(fields)) = (carries, update["set"].as_object_mut()) {
        fields.insert("stmt".into(), json!([carried]));
    }
    update
}

/// `limit rate over …`: matches what goes beyond.
pub(super) fn over(rate: KernelRate) -> Value {
    value(Statement::Limit(Limit {
        rate: rate.count,
        rate_unit: None,
        per: Some(rate.unit.into()),
        burst: Some(rate.burst),
        burst_unit: None,
        inv: Some(true),
    }))
}

/// `counter`, inside a set element.
pub(super) fn counter() -> Value {
    value(Statement::Counter(Counter::Anonymous(None)))
}

/// `counter name …`
pub(super) fn count(name: &'static str) -> Value {
    value(Statement::Counter(Counter::Named(name.into())))
}

pub(super) fn accept() -> Value {
    value(Statement::Accept(Some(Accept {})))
}

pub(super) fn drop() -> Value {
    value(Statement::Drop(Some(Drop {})))
}

pub(super) fn leave() -> Value {
    value(Statement::Return(Some(Return {})))
}

pub(super) fn jump(chain: &'static str) -> Value {
    value(Statement::Jump(JumpTarget { target: chain.into() }))
}

pub(super) fn goto(chain: &'static str) -> Value {
    value(Statement::Goto(JumpTarget { target: chain.into() }))
}

/// `queue [flags bypass] to first[-last]`
pub(super) fn queue(first: u16, count: u16, bypass: bool) -> Value {
    let number = |n: u16| Expression::Number(u32::from(n));
    let num = if count <= 1 {
        number(first)
    } else {
        let last = first.saturating_add(count - 1);
        Expression::Range(Box::new(Range { range: [number(first), number(last)] }))
    };
    queue_to(num, bypass)
}

/// `queue … to jhash ip saddr mod N offset first`: all of one source into the same queue.
pub(super) fn queue_by_source(family: Family, first: u16, count: u16, bypass: bool) -> Value {
    // The upper half of an IPv6 source address, since nft hashes no masked expression.
    let upper_half = PayloadRaw { base: PayloadBase::NH, offset: 64, len: 64 };
    let hashed = match family {
        Family::V4 => field("ip", "saddr"),
        Family::V6 => named(NamedExpression::Payload(Payload::PayloadRaw(upper_half))),
    };
    let hash = JHash {
        hash_mod: u32::from(count.max(1)),
        offset: Some(u32::from(first)),
        expr: Box::new(hashed),
        seed: None,
    };
    queue_to(named(NamedExpression::JHash(hash)), bypass)
}

fn queue_to(num: Expression<'static>, bypass: bool) -> Value {
    let flags = bypass.then(|| [QueueFlag::Bypass].into());
    value(Statement::Queue(Queue { num, flags }))
}
