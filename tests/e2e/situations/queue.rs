//! The gate cannot start: its queue is taken, a program or a kernel module is missing.

use super::{HOME, POLICY, QUEUE, Screen, runs, types};
use crate::stage::{ANNA, Gate, PORTCULLIS, World, in_lab, skip, text};
use portcullis::lab::Host;

/// The policy of a gate that does not run, where it would be.
fn write_policy() {
    std::fs::create_dir_all("/run/portcullis/conf.d").expect("a folder");
    std::fs::write(POLICY, QUEUE).expect("a file");
    let places = "[bans]\nstate_dir = \"/run/portcullis/state\"\n";
    std::fs::write("/run/portcullis/conf.d/places.toml", places).expect("a file");
}

/// The same, with mounts of its own that hide something.
fn types_hiding(host: &Host, hide: &str, line: &str) -> Screen {
    let script = format!("{hide} && exec \"$0\" {line}");
    let mut command = host.command("unshare");
    command.args(["--mount", "/bin/sh", "-ec", &script, PORTCULLIS]);
    runs(&mut command, &format!("portcullis {line}"))
}

in_lab! {
    fn the_program_that_has_the_queue_is_named() {
        let world = World::new();
        let other = Gate::try_start(&world.server, "other", QUEUE).expect("it starts");
        let status = other.status();
        let pid = &status["pid"];
        let refused = Gate::try_start(&world.server, HOME, QUEUE).err().expect("it is refused");
        assert_eq!(refused.code, Some(69));
        // Who has a queue is shown to the real root only; others are told how to see it.
        let named = format!("queue 7 belongs to portcullis (pid {pid}).");
        let blind = refused.said.contains("Who it is: sudo portcullis doctor");
        assert!(blind || refused.said.contains(&named), "{}", refused.said);
        assert!(refused.said.contains("[queue] number = 10"), "{}", refused.said);
        assert!(refused.said.lines().all(|line| line.chars().count() <= 80), "{}", refused.said);

        let screen = types(&world.server, &format!("doctor --config {POLICY}"));
        screen.ends_with(1);
        if !blind {
            let told = screen.finding("queue 7 belongs to");
            assert!(told.contains(&format!("portcullis (pid {pid}), not to the gate")), "{told}");
            assert!(told.contains("[queue] number = 10"), "{told}");
            screen
                .shown(&["queue 7 belongs to", "not to the gate", "stop that program, or give the gate another number:"])
                .row("2 queue taken", "queue 7 belongs");
        }
        // Another number, as it says, and it runs beside the other.
        let gate = Gate::try_start(&world.server, HOME, &format!("{QUEUE}number = 10\n"));
        assert_eq!(gate.expect("it starts").status()["queues"][0]["number"], 10);
    }

    fn a_missing_program_is_named_with_its_package() {
        let world = World::new();
        write_policy();
        let doctor = format!("doctor --config {POLICY}");
        let run = format!("run --config {POLICY}");
        let nft = "mount --bind /dev/null $(command -v nft)";
        let screen = types_hiding(&world.server, nft, &doctor);
        let told = screen.ends_with(1).finding("nft cannot be used: it is not installed");
        assert!(told.contains("sudo apt-get install nftables"), "{told}");
        screen
            .shown(&["nft cannot be used: it is not installed", "sudo apt-get install nftables"])
            .row("3 program missing", "nft cannot");
        types_hiding(&world.server, nft, &run)
            .ends_with(69)
            .says(&["nft is not installed. Install it: apt-get install nftables"]);

        // Often both are names of one file.
        let both = "for i in $(readlink -f $(command -v iptables) $(command -v ip6tables)); do mount --bind /dev/null $i || true; done";
        let screen = types_hiding(&world.server, both, &doctor);
        // A kernel that takes nft's own statement does without.
        if !screen.text.contains("takes nft's queue statement\n") {
            let told = screen.ends_with(1).finding("iptables (and ip6tables) cannot be used");
            assert!(told.contains("sudo apt-get install iptables"), "{told}");
            types_hiding(&world.server, both, &run)
                .ends_with(77)
                .says(&["iptables is not installed. Install it: apt-get install iptables"]);
        }
    }

    /// The kernel of the test cannot be without its module, but /proc can be without its sign.
    /// For real: `tests/vm/run`, which calls the next one.
    fn a_missing_module_is_named_with_the_command_that_loads_it() {
        let world = World::new();
        write_policy();
        // What lies on disk is not for this kernel, either.
        let hide = "cat /proc/net/if_inet6 >/run/inet6 && mount -t tmpfs none /proc/$$/net && \
                    cp /run/inet6 /proc/$$/net/if_inet6 && \
                    if [ -d /lib/modules ]; then mount -t tmpfs none /lib/modules; fi";
        let screen = types_hiding(&world.server, hide, &format!("doctor --config {POLICY}"));
        screen.ends_with(1).says(&["NO packet queues"]);
        let told = screen.finding("the kernel has no packet queues");
        for command in ["sudo modprobe nfnetlink_queue", "sudo tee /etc/modules-load.d/"] {
            assert!(told.contains(command), "{told}");
        }
        screen
            .shown(&["the kernel has no packet queues (the module nfnetlink_queue is not loaded)"])
            .row("3 module missing", "the kernel has no");

        // After an update, the modules of the running kernel are gone. In a container there never
        // were any, nor a place for them.
        let place = "[ -d /lib/modules ] || { mkdir /run/above /run/work && mount -t overlay overlay \
                     -o lowerdir=/lib,upperdir=/run/above,workdir=/run/work /lib && mkdir /lib/modules; }";
        let mut tried = world.server.command("unshare");
        let tried = tried.args(["--mount", "/bin/sh", "-ec", &format!("{{ {place}; }} && rm -rf /run/above /run/work")]).output().expect("sh runs");
        if !tried.status.success() {
            let why = format!("there is no /lib/modules, and none can be made: {}", text(&tried));
            skip(concat!(module_path!(), ", the reboot"), &why);
            return;
        }
        let updated = format!(
            "{{ {place}; }} && {hide} && mkdir /lib/modules/1.2.3 && echo >/lib/modules/1.2.3/modules.dep"
        );
        let screen = types_hiding(&world.server, &updated, &format!("doctor --config {POLICY}"));
        let told = screen.ends_with(1).finding("the kernel has no packet queues");
        assert!(told.contains("are gone from /lib/modules"), "{told}");
        assert!(told.contains("do: sudo reboot"), "{told}");
    }

    /// Unloads the module, and forbids the kernel to load it: in the virtual machine only.
    fn a_module_that_is_really_missing() {
        if !super::clock::own_machine() {
            return;
        }
        let world = World::new();
        write_policy();
        let loader = "/proc/sys/kernel/modprobe";
        let usual = std::fs::read_to_string(loader).expect("a path");
        std::fs::write(loader, "/bin/false").expect("a path is taken");
        for module in ["nft_queue", "xt_NFQUEUE", "nfnetlink_queue"] {
            // One that is not loaded is no harm.
            let _ = world.server.command("rmmod").arg(module).status();
        }
        let screen = types(&world.server, &format!("doctor --config {POLICY}"));
        screen.ends_with(1).finding("the kernel has no packet queues");
        types(&world.server, &format!("run --config {POLICY}"))
            .ends_with(69)
            .says(&["this kernel has no packet queues", "sudo modprobe nfnetlink_queue"]);
        std::fs::write(loader, usual.trim()).expect("a path is taken");
        super::obeys(&world.server, "modprobe nfnetlink_queue");
        types(&world.server, &format!("doctor --config {POLICY}")).is_silent_of("NO packet queues");
        let _gate = super::start(&world.server, "");
        assert!(world.visit(ANNA, 80).is_served());
    }
}
