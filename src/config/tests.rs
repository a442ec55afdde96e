//! The shipped files are the manual: they must be complete and true. And the loader as a whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::load::check;
use super::source::Source;
use super::tree::{self, Table, Value};
use super::*;
use crate::policy::{Rate, Rates, Scan, Scope};

const SHIPPED: &str = include_str!("../../config/portcullis.toml");

/// The full path of every key and table that a text has.
fn written(text: &str) -> BTreeSet<String> {
    fn walk(table: &Table, prefix: &str, into: &mut BTreeSet<String>) {
        for (key, (_, node)) in &table.0 {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if let Value::Table(inner) = &node.value {
                walk(inner, &path, into);
            }
            into.insert(path);
        }
    }
    let mut keys = BTreeSet::new();
    walk(&tree::parse(&Source::new("f", text), 0).table, "", &mut keys);
    keys
}

#[test]
fn the_shipped_file_is_complete_and_says_the_defaults() {
    let (loaded, known) = check(&[Source::new("portcullis.toml", SHIPPED)], Vec::new(), Vec::new());
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config, Config::default());
    let missing: Vec<_> = known.difference(&written(SHIPPED)).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "keys that the shipped file does not explain");
    assert!(known.len() > 60 && known.contains("rate.class.login.burst"), "{known:?}");
}

#[test]
fn an_empty_policy_is_the_default() {
    let loaded = parse("", "empty").unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!((loaded.warnings, loaded.files), (Vec::new(), Vec::new()));
}

/// What the comment in the shipped file says of a key is next to the key: spelling of numbers in
/// ranges is checked by reading the value at each end.
#[test]
fn ranges_in_the_manual_are_the_readers() {
    for (table, key, least, most) in [
        ("anomaly", "false_positives_per_day", 1, 1000),
        ("bans", "after", 1, 1000),
        ("capture", "files", 1, 100),
        ("guard", "mark_bit", 0, 29),
        ("guard", "set_size", 1024, 16_777_216),
        ("queue", "threads", 1, 64),
        ("queue", "length", 64, 1_048_576),
        ("quirks", "max_length", 60, 65_535),
        ("rate", "network_v4", 8, 32),
        ("rate", "network_v6", 16, 64),
        ("scan", "honest", 2, 99),
        ("scan", "scanner", 1, 98),
    ] {
        assert!(SHIPPED.contains(&format!("{least}-{most}")), "{key}");
        let read = |value: i64| parse(&format!("[{table}]\n{key} = {value}"), "f");
        assert!(read(least).is_ok() && read(most).is_ok(), "{key}");
        for outside in [least - 1, most + 1] {
            let errors = read(outside).unwrap_err();
            assert_eq!((errors.problems[0].line, errors.problems.len()), (2, 1), "{errors}");
        }
    }
}

#[test]
fn the_examples_are_good() {
    let loaded = |text, name| {
        let loaded = parse(text, name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.warnings, [], "{name}");
        loaded.config
    };
    let observe = loaded(include_str!("../../config/observe.toml"), "observe.toml");
    assert_eq!(observe.mode, Mode::Observe);
    assert_eq!(observe.guard, Guard::default());
    let gateway = loaded(include_str!("../../config/gateway.toml"), "gateway.toml");
    assert_eq!(gateway.guard.protect.len(), 2);
    let inner = "198.51.100.77".parse().unwrap();
    assert!(gateway.policy.ports.protect.find(inner).is_some());
    assert_eq!(gateway.policy.ports.open_behind.unwrap().to_string(), "22, 25, 80, 443, 993");
    assert!(gateway.policy.ports.listening && gateway.policy.ports.open.contains(8443));
    let (ports, sources) = &gateway.policy.ports.only_from[0];
    assert!(ports.contains(22) && sources.find("10.1.2.3".parse().unwrap()).is_some());
}

fn rates(text: &str) -> Rates {
    parse(text, "f").unwrap_or_else(|errors| panic!("{errors}")).config.policy.rate
}

#[test]
fn classes_keep_what_is_not_redefined() {
    let changed = rates("[rate.class.login]\nrate = \"6/m\"");
    let default = Rates::default();
    let login = &changed.classes[0];
    assert_eq!(login.rate, Some(Rate { count: 6, per: Duration::from_secs(60), burst: 5 }));
    assert_eq!((&login.ports, login.offends), (&default.classes[0].ports, true));
    assert_eq!(changed.classes[1..], default.classes[1..]);

    let network = |text: &str| rates(text).classes[0].network.map(|rate| (rate.count, rate.burst));
    for (keys, expected) in [
        ("rate = \"60/m\"\nburst = 30", Some((600, 300))),
        ("network = \"7/m\"", Some((7, 50))),
        ("network = \"unlimited\"", None),
        ("rate = \"unlimited\"", None),
        ("network_burst = 3", Some((40, 3))),
    ] {
        assert_eq!(network(&format!("[rate.class.login]\n{keys}")), expected, "{keys}");
    }
    assert_eq!(rates("[rate.class.login]\nban = \"port\"").classes[0].ban, Scope::Port);

    let own = rates("[rate.class.api]\nports = \"8080, 9000\"\nrate = \"50/s\"\nburst = 80");
    assert_eq!(own.classes.len(), 4);
    assert_eq!((own.classes[3].name, own.classes[3].rate.unwrap().burst), ("api", 80));
    assert_eq!((own.classes[3].network_name, own.classes[3].network), ("api, network", None));
    assert!(own.classes[3].ports.contains(8080), "named ports…");
    assert!(!own.classes[1].ports.contains(8080), "…leave the defaults of another class");
    assert!(own.classes[1].ports.contains(8443));

    let upon_manual = format!("{SHIPPED}\n[rate.class.api]\nports = 8080\nrate = \"50/s\"");
    assert!(!rates(&upon_manual).classes[1].ports.contains(8080), "written or not is the same");

    let moved = rates("[rate.class.login]\nports = \"22, 8443\"");
    assert!(moved.classes[0].ports.contains(8443) && !moved.classes[1].ports.contains(8443));
    assert_eq!(rates("[rate]\ntotal = \"5/s\"").total.unwrap().burst, 10_000);
}

#[test]
fn what_is_known_of_scanners() {
    let policy = |text| parse(text, "f").unwrap_or_else(|errors| panic!("{errors}")).config.policy;
    assert_eq!(policy("[scan]\nsensitivity = \"lenient\"").scan, Scan::lenient());
    assert_eq!(policy("[scan]\nsensitivity = \"off\"").scan.limit, None);
    let own = "[scan]\nsensitivity = \"own\"\nhonest = 80\nscanner = 20\none_in = 100";
    assert_eq!(policy(own).scan, Scan::test(80, 20, 100));
    assert_eq!(
        policy("[fingerprint]\nignore = \"nmap, zmap\"").fingerprint.ignore,
        ["nmap", "zmap"]
    );
    for (text, line, word) in [
        ("[scan]\nsensitivity = \"own\"\nhonest = 20\nscanner = 20", 4, "fewer"),
        ("[fingerprint]\nignore = [\"hping\"]", 2, "hping3"),
        ("[fingerprint]\nignore = [3]", 2, "list of words"),
    ] {
        let errors = parse(text, "f").unwrap_err();
        assert_eq!((errors.problems.len(), errors.problems[0].line), (1, line), "{errors}");
        assert!(errors.to_string().contains(word), "{errors}");
    }
}

/// A policy folder on disk.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(&self.path("p.toml"))
    }
}

#[test]
fn overlays_are_laid_over_in_the_order_of_their_names() {
    let folder = Folder::new(&[
        ("p.toml", "mode = \"observe\"\n[queue]\nnumber = 1\nlength = 100"),
        ("conf.d/20-b.toml", "[queue]\nnumber = 3"),
        ("conf.d/10-a.toml", "[queue]\nnumber = 2\nthreads = 4"),
        ("conf.d/30-empty.toml", ""),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/40.toml.bak", "nonsense"),
    ]);
    let loaded = folder.load().unwrap();
    let queue = &loaded.config.queue;
    assert_eq!((queue.number, queue.threads, queue.length), (3, 4, 100));
    assert_eq!(loaded.config.mode, Mode::Observe);
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(names, ["p.toml", "10-a.toml", "20-b.toml", "30-empty.toml"]);
}

#[test]
fn list_files_are_read_beside_the_file_that_names_them() {
    let folder = Folder::new(&[
        ("p.toml", "[denylist]\nfrom = \"192.0.2.1\"\nfiles = [\"bad.txt\", \"lists/more.txt\"]"),
        ("bad.txt", "198.51.100.0/24 # why\n192.0.2.0/24\n"),
        ("lists/more.txt", "2001:db8::/32\n"),
    ]);
    let loaded = folder.load().unwrap();
    let denied = &loaded.config.policy.denylist;
    assert_eq!(denied.lists, ["policy", "bad.txt", "more.txt"]);
    for (address, list) in
        [("192.0.2.1", 0), ("192.0.2.2", 1), ("198.51.100.9", 1), ("2001:db8::1", 2)]
    {
        assert_eq!(denied.prefixes.find(address.parse().unwrap()), Some(list), "{address}");
    }
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn files_that_are_no_policy() {
    let told = |path: &Path| load(path).unwrap_err();
    let folder = Folder::new(&[("empty.toml", " \n"), ("p.toml", "x"), ("conf.d/a.toml/x", "")]);
    assert!(told(&folder.path("none.toml")).missing);
    let empty = told(&folder.path("empty.toml"));
    assert!(!empty.missing && empty.to_string().contains("empty"), "{empty}");
    assert!(told(folder.0.path()).to_string().contains("directory"));
    let both = folder.load().unwrap_err();
    assert_eq!(both.problems.len(), 2, "the overlay that is a directory, and the line: {both}");
}

#[test]
fn warnings_do_not_stop_anybody() {
    for (text, line, word) in [
        ("[ports]\nopen = []", 2, "no port is open"),
        ("[ports]\nopen = \"22, 23\"", 2, "23"),
        ("[allowlist]\nfrom = \"private\"\n[denylist]\nfrom = \"10.0.0.0/8\"", 4, "allow list"),
        ("[bans]\ndurations = [\"1h\", \"10m\"]", 2, "rise"),
        ("[scan]\nhonest = 80", 2, "own"),
        ("[rate.class.web]\nban = \"port\"", 2, "no effect"),
    ] {
        let warnings = parse(text, "f").unwrap_or_else(|errors| panic!("{errors}")).warnings;
        assert_eq!(warnings.len(), 1, "{text}");
        assert_eq!(warnings[0].line, line, "{text}");
        assert!(warnings[0].message.contains(word), "{}", warnings[0]);
    }
}

/// Pieces of policies, right and wrong, so that random texts get past the first line.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        "\r\n",
        ",",
        ".",
        "{",
        "}",
        "#",
        "\\u",
        "\\",
        "-",
        "0x",
        "1e9",
        "true",
        "1979-05-27",
        "mode",
        "rate",
        "class",
        "login",
        "ports",
        "only_from",
        "queue",
        "threads",
        "denylist",
        "from",
        "files",
        "22",
        "99999",
        "\"6/m\"",
        "\"10m\"",
        "private",
        "\"10.0.0.5/8\"",
        "enforce",
        "é",
        "\u{feff}",
        "\0",
        "\t",
        " ",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in prop_oneof!["(?s).{0,200}", pieces()]) {
        if let Err(errors) = parse(&text, "f") {
            prop_assert!(!errors.problems.is_empty());
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn a_damaged_manual_never_panics(at in 0..SHIPPED.len(), cut in 0usize..40, put in "\\PC{0,3}") {
        let start = SHIPPED.floor_char_boundary(at);
        let end = SHIPPED.floor_char_boundary((at + cut).min(SHIPPED.len())).max(start);
        let text = format!("{}{put}{}", &SHIPPED[..start], &SHIPPED[end..]);
        if let Err(errors) = parse(&text, "f") {
            for problem in &errors.problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1, "{}", problem);
            }
        }
    }
}
