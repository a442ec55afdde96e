//! DNS names in the allow list: whoever they are now is let in, whatever becomes of the resolver.

use std::time::{Duration, Instant};

use portcullis::lab::Visit;
use serde_json::Value;

use crate::stage::{
    ANNA, BEN, CARLA, Dns, Gate, HASTE, PORTCULLIS, World, eventually, in_lab, nft_json, put, text,
};
use crate::standing::established;

const NAME: &str = "office.example.org";
const POLICY: &str =
    "[allowlist]\nfrom = [\"office.example.org\", \"192.0.2.77\"]\nlook_up_every = \"1s\"\n";
const SOON: Duration = Duration::from_secs(20);

/// Waits until a name stands for these addresses, and is in this state.
fn await_name(gate: &Gate<'_>, name: &str, addresses: &[&str], state: &str) {
    eventually(SOON, &format!("{name} {state} as {addresses:?}"), || {
        let status = gate.status();
        let names = status["names"].as_array().expect("a list");
        let row = names.iter().find(|row| row["name"] == name);
        let fits = |row: &&Value| {
            let known = row["addresses"].as_array().expect("a list");
            row["state"] == state
                && known.iter().map(Value::as_str).eq(addresses.iter().map(|a| Some(*a)))
        };
        row.filter(fits).map(drop).ok_or_else(|| format!("{names:?}\n{}", gate.said()))
    });
}

/// Is `from` trusted? A closed port answers those who are, and nobody else.
fn is_trusted(world: &World, from: &str) -> bool {
    match world.visit_within(from, 81, HASTE) {
        Visit::Refused => true,
        Visit::TimedOut => false,
        other => panic!("{from}: {other:?}"),
    }
}

/// The handles of the kernel's rules: whoever installs them anew gives them new ones.
fn rules(world: &World) -> Vec<u64> {
    let table = nft_json(&world.server, &["list", "table", "inet", "portcullis"]);
    let objects = table["nftables"].as_array().expect("a list");
    objects.iter().filter_map(|object| object["rule"]["handle"].as_u64()).collect()
}

/// What was told of names.
fn told(gate: &Gate<'_>) -> Vec<String> {
    let events = gate.events().into_iter().filter(|event| event["what"] == "names");
    events.map(|event| event["text"].as_str().expect("a text").to_owned()).collect()
}

fn was_told(gate: &Gate<'_>, part: &str) {
    eventually(SOON, part, || {
        let told = told(gate);
        if told.iter().any(|text| text.contains(part)) { Ok(()) } else { Err(format!("{told:#?}")) }
    });
}

in_lab! {
    fn a_name_becomes_somebody_else_without_a_reload() {
        let world = World::new();
        let dns = Dns::start(&world.server);
        dns.set(NAME, &[ANNA]);
        let gate = Gate::start(&world.server, POLICY);
        await_name(&gate, NAME, &[ANNA], "good");
        gate.await_set("trusted4", ANNA);
        assert!(gate.set("trusted6").is_empty(), "{:?}", gate.set("trusted6"));
        assert!(is_trusted(&world, ANNA) && !is_trusted(&world, BEN));
        let explained = gate.explain(ANNA, 81);
        assert_eq!((&explained["accepted"], &explained["checks"][0]["what"]), (&true.into(), &NAME.into()));
        let screen = text(&gate.ask(&["explain", ANNA, "81"]));
        assert!(screen.contains("LET IN now (allowed: office.example.org)"), "{screen}");

        let rules = rules(&world);
        dns.set(NAME, &[BEN, CARLA]);
        await_name(&gate, NAME, &[BEN, CARLA], "good");
        gate.await_set("trusted4", BEN);
        gate.await_set("trusted6", CARLA);
        assert!(is_trusted(&world, BEN) && is_trusted(&world, CARLA) && !is_trusted(&world, ANNA));
        assert_eq!(rules, self::rules(&world), "a new answer leaves the rules alone");
        was_told(&gate, &format!("{NAME} is {ANNA} and trusted from now on"));
        was_told(&gate, &format!("{NAME} is now {BEN}"));
        was_told(&gate, &format!("; was {ANNA}"));
        let standing = gate.ask(&["bans", "add", BEN]);
        assert!(!standing.status.success(), "the ledger knows it too: {}", text(&standing));

        // A reload keeps what is known, and takes new names up by itself.
        let policy = POLICY.replace("\"192.0.2.77\"", "\"b.example.org\"");
        dns.set("b.example.org", &[ANNA]);
        gate.write_policy(&policy);
        let reloaded = gate.ask(&["reload"]);
        assert!(reloaded.status.success(), "{}", text(&reloaded));
        assert!(is_trusted(&world, BEN));
        await_name(&gate, "b.example.org", &[ANNA], "good");
        assert!(is_trusted(&world, ANNA));
        gate.write_policy("mode = \"enforce\"\n");
        assert!(gate.ask(&["reload"]).status.success());
        eventually(SOON, "no more names", || {
            if gate.status()["names"] == Value::Array(vec![]) { Ok(()) } else { Err(String::new()) }
        });
        assert!(!is_trusted(&world, BEN));
    }

    fn a_resolver_that_fails_locks_nobody_out() {
        let world = World::new();
        let dns = Dns::start(&world.server);
        dns.set(NAME, &[ANNA]);
        let gate = Gate::start(&world.server, POLICY);
        await_name(&gate, NAME, &[ANNA], "good");
        dns.says(|zone| zone.broken = true);
        await_name(&gate, NAME, &[ANNA], "failing");
        was_told(&gate, "cannot be looked up: ");
        was_told(&gate, "getent");
        assert!(is_trusted(&world, ANNA));

        // Nor does a restart, from the first moment on.
        assert_eq!(gate.stop(), Some(0));
        dns.says(|zone| zone.silent = true);
        let gate = Gate::start(&world.server, POLICY);
        assert!(is_trusted(&world, ANNA));
        gate.await_set("trusted4", ANNA);
        dns.says(|zone| (zone.silent, zone.broken) = (false, false));
        await_name(&gate, NAME, &[ANNA], "good");

        // A name that is gone stays for a day; what nobody can be changes nothing.
        dns.says(|zone| zone.names.clear());
        await_name(&gate, NAME, &[ANNA], "gone");
        assert!(is_trusted(&world, ANNA));
        dns.set(NAME, &["127.0.0.1"]);
        await_name(&gate, NAME, &[ANNA], "failing");
        was_told(&gate, "not believed: 127.0.0.1, which no visitor has");
        assert!(is_trusted(&world, ANNA) && !is_trusted(&world, BEN));
        let screen = text(&gate.ask(&["status"]));
        assert!(screen.contains(&format!("{NAME}  PROBLEM: cannot be looked up; was {ANNA}")), "{screen}");
    }

    fn what_is_left_out_for_a_moment_is_not_forgotten() {
        let world = World::new();
        let dns = Dns::start(&world.server);
        dns.set(NAME, &[ANNA]);
        let gate = Gate::start(&world.server, POLICY);
        await_name(&gate, NAME, &[ANNA], "good");
        dns.says(|zone| zone.broken = true);
        let reload = |policy: &str| {
            gate.write_policy(policy);
            let reloaded = gate.ask(&["reload"]);
            assert!(reloaded.status.success(), "{}", text(&reloaded));
        };
        reload("[allowlist]\nfrom = [\"192.0.2.77\"]\n");
        eventually(SOON, "no more names", || {
            if gate.status()["names"] == Value::Array(vec![]) { Ok(()) } else { Err(String::new()) }
        });
        assert!(!is_trusted(&world, ANNA), "it is remembered, and not trusted");
        reload(POLICY);
        assert!(is_trusted(&world, ANNA), "nobody answers, and nobody has to");
        await_name(&gate, NAME, &[ANNA], "failing");
        // A restart does not forget it either.
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::start(&world.server, POLICY);
        assert!(is_trusted(&world, ANNA), "{}", gate.said());
    }

    fn whoever_has_the_name_in_a_search_domain_is_not_trusted() {
        let world = World::new();
        let dns = Dns::start(&world.server);
        put("/etc/resolv.conf", "search lan\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        dns.set("office.example.org.lan", &[BEN]);
        let gate = Gate::start(&world.server, POLICY);
        await_name(&gate, NAME, &[], "gone");
        assert!(!is_trusted(&world, BEN));
        dns.set(NAME, &[ANNA]);
        await_name(&gate, NAME, &[ANNA], "good");
        assert!(is_trusted(&world, ANNA) && !is_trusted(&world, BEN));
    }

    fn nobody_waits_for_a_resolver_that_is_silent() {
        let world = World::new();
        let dns = Dns::start(&world.server);
        dns.says(|zone| zone.silent = true);
        put("/etc/hosts", "127.0.0.1 localhost\n203.0.113.10 anna.example.org\n");
        let policy = "[allowlist]\nfrom = [\"anna.example.org\", \"office.example.org\", \"a.example.org\", \
                      \"b.example.org\", \"c.example.org\", \"d.example.org\"]\nlook_up_every = \"1s\"\n";
        let begun = Instant::now();
        let gate = Gate::start(&world.server, policy);
        assert!(world.visit(BEN, 80).is_served());
        assert!(gate.ask(&["reload"]).status.success());
        // Far less than one question takes; the machine may be busy.
        let ready = begun.elapsed();
        println!("ready, visited and reloaded after {ready:?}");
        // /etc/hosts is read as by every program, and one that answers waits for no other.
        await_name(&gate, "anna.example.org", &[ANNA], "good");
        assert!(is_trusted(&world, ANNA));
        await_name(&gate, NAME, &[], "failing");
        was_told(&gate, "nobody is trusted for it until there is an answer");

        // Who the gate lets in is not said to be cut off.
        let session = established(&world, ANNA, 22);
        let file = "/run/gate/policy.toml";
        gate.write_policy("[allowlist]\nfrom = \"anna.example.org\"\n[denylist]\nfrom = \"203.0.113.0/24\"\n");
        put("/etc/hosts", "127.0.0.1 localhost\n");
        let live = || {
            let mut check = world.server.command(PORTCULLIS);
            check.args(["check", "--live", "--config", file]).output().expect("it runs")
        };
        let checked = live();
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
        gate.write_policy("[allowlist]\nfrom = \"x.example.org\"\n[denylist]\nfrom = \"203.0.113.0/24\"\n");
        let checked = live();
        assert_eq!(checked.status.code(), Some(1), "{}", text(&checked));
        assert!(text(&checked).contains("nobody knows who these names"), "{}", text(&checked));
        drop(session);

        gate.write_policy(policy);
        put("/etc/hosts", "127.0.0.1 localhost\n203.0.113.10 anna.example.org\n");
        let mut check = world.server.command(PORTCULLIS);
        let checked = check.args(["check", "--resolve", "--config", file]).output().expect("it runs");
        assert_eq!(checked.status.code(), Some(68), "{}", text(&checked));
        let said = text(&checked);
        assert!(said.contains("anna.example.org    203.0.113.10\n"), "{said}");
        assert!(said.contains("office.example.org  PROBLEM: "), "{said}");
    }
}
