//! The campaign of faults (`cargo bench --bench faults`) works: its quickest ones, once each.

use crate::campaign::chance::Chance;
use crate::campaign::ground::Ground;
use crate::campaign::{attempt, faults, world};
use crate::stage::in_lab;

in_lab! {
    fn the_quickest_faults_do_what_is_declared() {
        let world = world();
        let mut ground = Ground::new(&world, Chance::new(1));
        for fault in faults::all().filter(|fault| fault.quick) {
            let seen = attempt(&mut ground, &fault);
            println!("{}: {seen:?}", fault.name);
            assert!(seen.broken.is_empty(), "{}: {:#?}", fault.name, seen.broken);
            assert!(seen.let_in > 30, "{}: hardly anybody came: {seen:?}", fault.name);
        }
    }
}
