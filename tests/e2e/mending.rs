//! What others break is noticed and mended.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use portcullis::lab::Visit;

use crate::stage::{
    ANNA, CARLA, Gate, HASTE, MALLORY, PATIENCE, World, address, break_nft, eventually, in_lab,
    mend_nft, nft, nft_load, text,
};

/// The promise, from the flush to the table's return.
const PROMISE: Duration = Duration::from_secs(2);

in_lab! {
    fn a_flush_is_mended_within_two_seconds_bans_and_all() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let added = gate.ask(&["bans", "add", MALLORY, "--for", "1h", "--reason", "test"]);
        assert!(added.status.success(), "{}", text(&added));
        gate.await_set("banned4", MALLORY);
        for _ in 0..3 {
            nft_load(&world.server, "flush ruleset");
            let flushed = Instant::now();
            eventually(PROMISE, "mended table", || {
                let listing = nft(&world.server, &["list", "set", "inet", "portcullis", "banned4"]);
                let listing = text(&listing);
                if listing.contains(MALLORY) { Ok(()) } else { Err(format!("{listing}\n{}", gate.said())) }
            });
            // Where the redirect is a rule of iptables, the flush took that too.
            eventually(PROMISE.saturating_sub(flushed.elapsed()), "closed port that is judged", || {
                match world.visit_within(ANNA, 81, Duration::from_millis(100)) {
                    Visit::TimedOut => Ok(()),
                    seen => Err(format!("{seen:?}")),
                }
            });
            assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
            assert!(world.visit(CARLA, 80).is_served());
        }
        assert!(gate.events().iter().any(|event| event["event"] == "alarm"), "{:#?}", gate.events());
    }

    /// Whoever asks for something while nft fails does not make anybody wait.
    fn a_failing_nft_is_tried_again_however_often_others_find_it_failing() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let reload = || gate.ask(&["reload"]).status.success();
        break_nft(&world.server);
        let broken = Instant::now();
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        let failed = (0..8).filter(|_| !reload()).count();
        mend_nft(&world.server);
        assert_eq!(failed, 8, "they were to fail: {}", gate.said());
        // As long again as it failed, and what the machine is busy with.
        let bound = broken.elapsed() * 2 + PROMISE;
        gate.await_set("banned4", MALLORY);
        assert!(broken.elapsed() < bound, "{:?} after {bound:?}", broken.elapsed());
    }

    /// Nobody gets in meanwhile: whom the kernel could not be told of, the judge knows.
    fn who_is_banned_while_nft_fails_stays_out() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        assert!(world.visit(MALLORY, 80).is_served());
        break_nft(&world.server);
        let wide = IpNet::new(address(MALLORY), 24).expect("a prefix").trunc().to_string();
        for whom in [wide.as_str(), CARLA] {
            let added = gate.ask(&["bans", "add", whom, "--for", "1h"]);
            assert!(added.status.success(), "{}", text(&added));
        }
        let stay_out = || {
            for whom in [MALLORY, CARLA] {
                assert_eq!(world.visit_within(whom, 80, HASTE), Visit::TimedOut, "{whom}");
            }
            assert!(world.visit(ANNA, 80).is_served());
        };
        stay_out();
        // Taken back, it does not act.
        assert!(gate.ask(&["bans", "remove", &wide]).status.success());
        assert!(world.visit(MALLORY, 80).is_served());
        assert!(gate.ask(&["bans", "add", &wide, "--for", "1h"]).status.success());
        stay_out();
        mend_nft(&world.server);
        eventually(PATIENCE, "prefix in the kernel", || {
            let listing = text(&nft(&world.server, &["list", "set", "inet", "portcullis", "refused4"]));
            if listing.contains(&wide) { Ok(()) } else { Err(listing) }
        });
        gate.stop();
        // By the kernel alone, too.
        stay_out();
    }
}
