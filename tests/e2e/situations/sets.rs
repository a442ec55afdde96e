//! More offenders than there is room for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portcullis::lab::Probe;

use super::{edit, start, types};
use crate::stage::{World, address, eventually, in_lab};

const SMALL: &str = "[bans]\nafter = 1\nbudget = 100000\nbudget_network = 100000\n\
                     [guard]\nset_size = 1024\n[flood]\nsurplus = \"unlimited\"\n";

/// SYNs from so many addresses to a port at which nobody honest knocks.
fn offend(world: &World, from: std::ops::Range<u32>) {
    let to = SocketAddr::new(world.server_for(address("10.9.0.1")), 23);
    let syn = |n: u32| {
        let from = IpAddr::from([10, 9, (n / 250) as u8, (n % 250 + 1) as u8]);
        Probe::syn(SocketAddr::new(from, 40_000), to)
    };
    world.send(&world.rogues, from.map(syn).collect::<Vec<_>>(), 1000);
}

in_lab! {
    fn a_full_list_is_told_with_the_size_that_it_needs() {
        let mut world = World::new();
        world.lab.own(&world.rogues, "10.9.0.0/16".parse().unwrap()).expect("a route");
        let any = SMALL.replace("[bans]", "[bans]\nevidence = \"any\"");
        let _gate = start(&world.server, &any);
        offend(&world, 0..1200);
        let status = eventually(Duration::from_secs(20), "alarm", || {
            let status = types(&world.server, "status");
            let flat = super::flat(&status.text);
            if flat.contains("1,024 banned") && flat.contains("full:") { Ok(status) } else { Err(status.text) }
        });
        status
            .says(&["warning full: the ban list is full (1,024 standings", "Raise [guard] set_size, then: portcullis reload"])
            .row("9 set full", "warning full");
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(1).finding("the kernel set banned4 holds 1,024 of 1,024");
        assert!(told.contains("[guard] set_size = 4096, then: portcullis reload"), "{told}");
        doctor
            .shown(&["the kernel set banned4 holds 1,024 of 1,024"])
            .row("9 set full", "the kernel set");
        edit("[guard]\nset_size = 4096\n");
        types(&world.server, "reload").ends_with(0);
        types(&world.server, "doctor").ends_with(0).is_silent_of("set_size");
        offend(&world, 1200..1300);
        eventually(Duration::from_secs(20), "more bans", || {
            let bans = types(&world.server, "status");
            if super::flat(&bans.text).contains("1,124 banned") { Ok(()) } else { Err(bans.text) }
        });
    }

    fn suspects_without_room_are_told_though_no_set_is_full() {
        let mut world = World::new();
        world.lab.own(&world.rogues, "10.9.0.0/16".parse().unwrap()).expect("a route");
        let _gate = start(&world.server, SMALL);
        offend(&world, 0..600);
        eventually(Duration::from_secs(20), "suspects", || {
            let status = types(&world.server, "status");
            if super::flat(&status.text).contains("512 suspect") { Ok(()) } else { Err(status.text) }
        });
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(1).finding("the ban list holds 512 standings, of 1,024");
        assert!(told.contains("new suspects get none"), "{told}");
        assert!(told.contains("[guard] set_size = 4096, then: portcullis reload"), "{told}");
        doctor.row("9 set full: of suspects", "the ban list holds");
        edit("[guard]\nset_size = 4096\n");
        types(&world.server, "reload").ends_with(0);
        types(&world.server, "doctor").ends_with(0);
    }
}
